"""The observer that asks the servers of the stack: Jaeger, Prometheus, VictoriaLogs and Alertmanager."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from spanguard import semconv
from spanguard.stack import StackEndpoints
from tge_monitor.demo.evidence import ALERT, BREAKER, Reading, SpanNode, StandingAlert, Trace, Transition

_REJECTED = (
    'spanguard_circuit_breaker_calls_total{service_name="tge_monitor",'
    f'spanguard_policy_name="{BREAKER}",spanguard_circuit_breaker_outcome="rejected"}}'
)
_ALERT_FILTER = quote(f'{{alertname="{ALERT}"}}')


class ServerObserver:
    """Fetches everything back from where an operator would look it up. Only what is newer than the start counts."""

    def __init__(self, endpoints: StackEndpoints) -> None:
        self._endpoints = endpoints
        self._http = httpx.Client(timeout=10.0, trust_env=False)
        self._since = datetime.now(UTC).isoformat()
        self._rejected_before = self._count_rejected()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def first_guarded_call(self) -> Trace | None:
        """Return the newest trace with a guard span, from Jaeger."""
        found = self._search_traces(f"{semconv.GUARD_SPAN.name} {BREAKER}")
        return self.trace(found) if found else None

    def transition(self, to: str) -> Transition | None:
        """Return the latest change of the breaker to this state, from VictoriaLogs."""
        query = (
            f'event_name:="{semconv.BREAKER_STATE_CHANGE_EVENT.name}" AND "{semconv.POLICY_NAME.key}":="{BREAKER}" '
            f'AND "{semconv.BREAKER_TO.key}":="{to}"'
        )
        row = self._last_log(query)
        if row is None:
            return None
        return Transition(to, row[semconv.BREAKER_REASON.key], row, row.get("trace_id", ""), f"LogsQL  {query}")

    def trace(self, trace_id: str) -> Trace | None:
        """Return a trace once its root span is in Jaeger."""
        answer = self._http.get(f"{self._endpoints.jaeger}/api/v3/traces/{trace_id}")
        if answer.status_code != httpx.codes.OK:
            return None
        spans = [_node(span) for span in _spans(answer.json())]
        if not any(span.parent_id == "" for span in spans):
            return None
        return Trace(trace_id, tuple(spans), f"{self._endpoints.jaeger}/trace/{trace_id}")

    def rejected_calls(self) -> Reading | None:
        """Return how many calls the open breaker refused, from Prometheus."""
        refused = self._count_rejected() - self._rejected_before
        return Reading(refused, f"PromQL  {_REJECTED}") if refused else None

    def alert(self) -> StandingAlert | None:
        """Return the alert while Alertmanager has it as active."""
        alerts = self._alerts()
        if not alerts:
            return None
        alert = alerts[0]
        trace_url = alert["annotations"].get("trace_url", "")
        return StandingAlert(
            alert["labels"]["severity"],
            alert["annotations"].get("summary", ""),
            trace_url.rsplit("/", 1)[-1],
            f"{self._endpoints.alertmanager}/#/alerts?filter={_ALERT_FILTER}  trace {trace_url}",
        )

    def alert_is_resolved(self) -> Reading | None:
        """Tell whether Alertmanager no longer has the alert as active."""
        if self._alerts():
            return None
        return Reading(0, f"{self._endpoints.alertmanager}/api/v2/alerts?active=true")

    def _search_traces(self, operation: str) -> str | None:
        parameters = {
            "query.service_name": "tge_monitor",
            "query.operation_name": operation,
            "query.start_time_min": self._since,
            "query.start_time_max": datetime.now(UTC).isoformat(),
            "query.search_depth": "1",
        }
        answer = self._http.get(f"{self._endpoints.jaeger}/api/v3/traces", params=parameters)
        spans = _spans(answer.json()) if answer.status_code == httpx.codes.OK else []
        return str(spans[0]["traceId"]) if spans else None

    def _last_log(self, query: str) -> Mapping[str, Any] | None:
        answer = self._http.get(
            f"{self._endpoints.victorialogs}/select/logsql/query",
            params={"query": f"{query} | sort by (_time) desc | limit 1", "start": self._since},
        )
        lines = answer.text.splitlines() if answer.status_code == httpx.codes.OK else []
        return json.loads(lines[0]) if lines else None

    def _count_rejected(self) -> float:
        answer = self._http.get(f"{self._endpoints.prometheus}/api/v1/query", params={"query": f"sum({_REJECTED})"})
        answer.raise_for_status()
        result = answer.json()["data"]["result"]
        return float(result[0]["value"][1]) if result else 0.0

    def _alerts(self) -> list[Any]:
        answer = self._http.get(
            f"{self._endpoints.alertmanager}/api/v2/alerts",
            params={"active": "true", "filter": [f'alertname="{ALERT}"', f'spanguard_policy_name="{BREAKER}"']},
        )
        return answer.json() if answer.status_code == httpx.codes.OK else []


def _spans(answer: Mapping[str, Any]) -> list[Any]:
    groups = answer["result"]["resourceSpans"]
    return [span for group in groups for scoped in group["scopeSpans"] for span in scoped["spans"]]


def _node(span: Mapping[str, Any]) -> SpanNode:
    return SpanNode(
        name=span["name"],
        span_id=span["spanId"],
        parent_id=span.get("parentSpanId", ""),
        start=int(span["startTimeUnixNano"]),
        end=int(span["endTimeUnixNano"]),
        is_error=span.get("status", {}).get("code") in (2, "STATUS_CODE_ERROR"),
        attributes={pair["key"]: next(iter(pair["value"].values()), None) for pair in span.get("attributes", [])},
    )
