"""Questions to the servers of a running stack, each over the server's public API."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

from spanguard.stack import StackEndpoints

T = TypeVar("T")


class Servers:
    """The servers behind these endpoints; every answer is what the server said, parsed and no more."""

    def __init__(self, endpoints: StackEndpoints) -> None:
        self.endpoints = endpoints
        self._http = httpx.Client(timeout=10, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        """The spans of a trace, as OTLP JSON says them (Jaeger API v3); none when it has not arrived."""
        answer = self._http.get(f"{self.endpoints.jaeger}/api/v3/traces/{trace_id}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return []
        answer.raise_for_status()
        chunks = [json.loads(line)["result"] for line in answer.text.splitlines() if line]
        return [
            {**span, "service": _attributes(resource["resource"]).get("service.name")}
            for chunk in chunks
            for resource in chunk["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]

    def traces_behind(self, link: str) -> list[dict[str, Any]]:
        """The traces that Jaeger's search page finds when somebody follows a link to it."""
        answer = self._http.get(link.replace("/search?", "/api/traces?"))
        answer.raise_for_status()
        return answer.json()["data"]  # type: ignore[no-any-return]

    def promql(self, query: str) -> list[dict[str, Any]]:
        """The series that answer an instant query."""
        return self._prometheus("query", query=query)["result"]  # type: ignore[no-any-return]

    def exemplars(self, query: str) -> list[dict[str, Any]]:
        """The exemplars of the last ten minutes of the series that a query selects."""
        now = time.time()
        series = self._prometheus("query_exemplars", query=query, start=str(now - 600), end=str(now + 60))
        return [exemplar for one in series for exemplar in one["exemplars"]]

    def logsql(self, query: str) -> list[dict[str, str]]:
        """The records that answer a LogsQL query."""
        answer = self._http.get(f"{self.endpoints.victorialogs}/select/logsql/query", params={"query": query})
        answer.raise_for_status()
        return [json.loads(line) for line in answer.text.splitlines()]

    def alerts(self, name: str) -> list[dict[str, Any]]:
        """The alerts of this name that Alertmanager (API v2) holds as firing."""
        answer = self._http.get(
            f"{self.endpoints.alertmanager}/api/v2/alerts", params={"filter": f'alertname="{name}"'}
        )
        answer.raise_for_status()
        return answer.json()  # type: ignore[no-any-return]

    def rules(self) -> list[dict[str, Any]]:
        """The groups of rules that Prometheus has loaded."""
        return self._prometheus("rules")["groups"]  # type: ignore[no-any-return]

    def _prometheus(self, what: str, **parameters: str) -> Any:
        answer = self._http.get(f"{self.endpoints.prometheus}/api/v1/{what}", params=parameters)
        answer.raise_for_status()
        return answer.json()["data"]


def awaited(ask: Callable[[], T | None], *, seconds: float = 120.0) -> T:
    """What `ask` returns, once it is something and not nothing.

    Raises:
        AssertionError: it was still nothing after so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"nothing came within {seconds:g} s"
        time.sleep(0.1)
    return answer


def _attributes(holder: dict[str, Any]) -> dict[str, Any]:
    return {pair["key"]: next(iter(pair["value"].values())) for pair in holder.get("attributes", [])}
