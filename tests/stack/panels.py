"""An independent walk over the dashboards' JSON: every query is asked as Grafana would ask it, and must have an answer.

It knows the JSON and the servers' APIs, and nothing of the code that wrote the dashboards.
"""

from __future__ import annotations

import json
import math
import re
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

_VARIABLE = re.compile(r"\$\{([\w.]+)(?::\w+)?\}|\$(\w+)|\[\[(\w+)\]\]")
_LABEL_VALUES = re.compile(r"label_values\((?:(?P<selector>.*),)?\s*(?P<label>\w+)\)", re.DOTALL)
_PANELS_WITHOUT_QUERIES = {"row", "text"}
# Buckets of one histogram that were not collected at the same moment; Prometheus mends them and says so.
_HARMLESS = "needed to be fixed for monotonicity"


def empty_panels(
    dashboards: Path,
    *,
    prometheus: str,
    victorialogs: str,
    jaeger: str,
    alertmanager: str,
    variables: Mapping[str, str] | None = None,
    window: float = 1800.0,
    rate_interval: str = "1m",
) -> list[str]:
    """Return one line for each variable, query or link of the dashboards that has no answer, or a wrong one.

    Args:
        dashboards: the directory of the JSON files.
        prometheus: the base URL, as are the other three.
        victorialogs: the base URL.
        jaeger: the base URL.
        alertmanager: the base URL.
        variables: values of dashboard variables, by name. A variable that is left out takes all of its values, or, where
            only one may be chosen, each in turn: a panel must then have an answer for one of them.
        window: the seconds before now that the dashboards show.
        rate_interval: what `$__rate_interval` stands for.
    """
    with httpx.Client(timeout=30, trust_env=False) as http:
        asked = Servers(http, prometheus, victorialogs, jaeger, alertmanager, window, rate_interval)
        files = sorted(dashboards.glob("*.json"))
        if not files:
            return [f"{dashboards}: no dashboard"]
        return [
            f"{file.name}: {problem}"
            for file in files
            for problem in _problems(json.loads(file.read_text("utf-8")), asked, variables or {})
        ]


@dataclass(slots=True)
class Answer:
    """What a query gave: the problems with it, and the labels or fields of what came."""

    problems: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers behind the data sources, asked in the way of Grafana's plugins."""

    http: httpx.Client
    prometheus: str
    victorialogs: str
    jaeger: str
    alertmanager: str
    window: float
    rate_interval: str

    def ask(self, datasource: str, target: Mapping[str, Any]) -> Answer:
        """Put a panel's query, its variables filled in."""
        if datasource == "prometheus":
            return self._ask_prometheus(target)
        if datasource == "victoriametrics-logs-datasource":
            return self._ask_victorialogs(target)
        if datasource == "jaeger":
            return self._search_traces(target)
        return Answer([f"unknown data source {datasource!r}"])

    def label_values(self, query: str) -> list[str]:
        """Answer the query of a variable."""
        match = _LABEL_VALUES.fullmatch(query.strip())
        if match is None:
            return []
        parameters = {"match[]": match["selector"], **self._time()} if match["selector"] else self._time()
        answer = self.http.get(f"{self.prometheus}/api/v1/label/{match['label']}/values", params=parameters)
        return [value for value in answer.json().get("data", []) if value]

    def open_alert_page(self, path: str) -> list[str]:
        """Ask Alertmanager for what one of Grafana's alert pages shows."""
        what = {"/alerting/groups": "alerts/groups", "/alerting/silences": "silences"}.get(path)
        if what is None:
            return [f"unknown page {path}"]
        answer = self.http.get(f"{self.alertmanager}/api/v2/{what}")
        if answer.status_code != httpx.codes.OK:
            return [_refusal(answer)]
        return [] if answer.json() or what == "silences" else ["Alertmanager has no alert"]

    def _ask_prometheus(self, target: Mapping[str, Any]) -> Answer:
        query = target["expr"]
        if target.get("instant"):
            reply = self.http.post(f"{self.prometheus}/api/v1/query", data={"query": query})
        else:
            step = str(max(1.0, self.window / 600))
            data = {"query": query, "step": step, **self._time()}
            reply = self.http.post(f"{self.prometheus}/api/v1/query_range", data=data)
        if reply.status_code != httpx.codes.OK:
            return Answer([_refusal(reply)])
        body = reply.json()
        notes = [note for key in ("warnings", "infos") for note in body.get(key, []) if _HARMLESS not in note]
        answer = Answer(notes, [series["metric"] for series in body["data"]["result"] if _has_number(series)])
        if not answer.rows:
            answer.problems.append("empty")
        wanted = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", target.get("legendFormat") or ""))
        for missing in sorted(wanted - {label for row in answer.rows for label in row}) if answer.rows else ():
            answer.problems.append(f"the legend's label {missing!r} is on no series")
        if target.get("exemplar"):
            answer.problems += self._follow_exemplars(query)
        return answer

    def _follow_exemplars(self, query: str) -> list[str]:
        reply = self.http.post(f"{self.prometheus}/api/v1/query_exemplars", data={"query": query, **self._time()})
        if reply.status_code != httpx.codes.OK:
            return [_refusal(reply)]
        exemplars = [exemplar["labels"] for series in reply.json()["data"] for exemplar in series["exemplars"]]
        traces = [labels["trace_id"] for labels in exemplars if "trace_id" in labels]
        if not traces:
            return ["no exemplar has a trace_id"]
        found = self.http.get(f"{self.jaeger}/api/v3/traces/{traces[-1]}")
        return [] if found.status_code == httpx.codes.OK else [f"Jaeger has no trace {traces[-1]} of an exemplar"]

    def _ask_victorialogs(self, target: Mapping[str, Any]) -> Answer:
        data = {"query": target["expr"], "limit": str(target.get("maxLines", 1000)), **self._time()}
        reply = self.http.post(f"{self.victorialogs}/select/logsql/query", data=data)
        if reply.status_code != httpx.codes.OK:
            return Answer([_refusal(reply)])
        rows = [json.loads(line) for line in reply.text.splitlines() if line]
        return Answer([] if rows else ["empty"], rows)

    def _search_traces(self, target: Mapping[str, Any]) -> Answer:
        # Grafana's Jaeger plugin writes the tags in logfmt, and searches over the older API.
        tags = dict(pair.split("=", 1) for pair in target.get("tags", "").split())
        span = {name: str(int(float(moment) * 1e6)) for name, moment in self._time().items()}
        parameters = {"service": target["service"], "limit": str(target.get("limit", 20)), **span}
        if target.get("operation"):
            parameters["operation"] = target["operation"]
        if tags:
            parameters["tags"] = json.dumps(tags)
        reply = self.http.get(f"{self.jaeger}/api/traces", params=parameters)
        if reply.status_code != httpx.codes.OK:
            return Answer([_refusal(reply)])
        rows = reply.json()["data"]
        return Answer([] if rows else ["empty"], rows)

    def _time(self) -> dict[str, str]:
        now = time.time()
        return {"start": f"{now - self.window:.3f}", "end": f"{now:.3f}"}


def _problems(dashboard: Mapping[str, Any], servers: Servers, given: Mapping[str, str]) -> Iterator[str]:
    choices = [{**_built_in(servers), **given}]
    for variable in dashboard.get("templating", {}).get("list", []):
        choices = [extended for choice in choices for extended in _with_variable(variable, choice, servers)]
        if not choices:
            yield f"variable {variable['name']}: no value"
            return
    for link in dashboard.get("links", []):
        yield from _least([_follow_link(link, choice, servers) for choice in choices])
    for panel in _panels(dashboard):
        where = f"panel {panel.get('title')!r}"
        targets = [target for target in panel.get("targets", []) if not target.get("hide")]
        if not targets and panel["type"] not in _PANELS_WITHOUT_QUERIES:
            yield f"{where}: no query"
        for target in targets:
            problems = _least([_ask(panel, target, choice, servers) for choice in choices])
            yield from (f"{where} {target['refId']}: {problem}" for problem in problems)


def _ask(panel: Mapping[str, Any], target: Mapping[str, Any], choice: Mapping[str, str], servers: Servers) -> list[str]:
    query = {key: _filled(value, choice) if isinstance(value, str) else value for key, value in target.items()}
    datasource = (target.get("datasource") or panel.get("datasource") or {}).get("type", "")
    asked = " ".join(str(query[key]) for key in ("expr", "service", "tags") if key in query)
    if unknown := _variables_in(" ".join(v for k, v in query.items() if k != "legendFormat" and isinstance(v, str))):
        return [f"undefined variable {', '.join(unknown)}: {asked}"]
    answer = servers.ask(datasource, query)
    problems = [f"{problem}: {asked}" for problem in answer.problems]
    for link in panel.get("fieldConfig", {}).get("defaults", {}).get("links", []) if answer.rows else ():
        # It is right if it leads somewhere from one of the series.
        filled = [{**choice, **_from_row(row)} for row in answer.rows]
        problems += _least([_follow_link(link, one, servers) for one in filled])
    return problems


def _follow_link(link: Mapping[str, Any], choice: Mapping[str, str], servers: Servers) -> list[str]:
    where = f"link {link['title']!r}"
    url = _filled(urllib.parse.unquote(link["url"]), choice)
    if unknown := _variables_in(url):
        return [f"{where}: undefined variable {', '.join(unknown)}"]
    address = urllib.parse.urlsplit(url)
    if address.path != "/explore":
        return [f"{where}: {problem}" for problem in servers.open_alert_page(address.path)]
    panes = json.loads(urllib.parse.parse_qs(address.query)["panes"][0])
    queries = [(pane["datasource"], query) for pane in panes.values() for query in pane["queries"]]
    return [f"{where}: {problem}" for source, query in queries for problem in servers.ask(source, query).problems]


def _with_variable(variable: Mapping[str, Any], choice: dict[str, str], servers: Servers) -> Iterator[dict[str, str]]:
    name = variable["name"]
    query = variable["query"]["query"] if isinstance(variable["query"], dict) else variable["query"]
    values = servers.label_values(_filled(query, choice))
    if name in choice:
        values = [value for value in values if value == choice[name]]
    if variable.get("multi") and values:
        # As if every box were ticked: stricter than "All", which may stand for `.*`.
        values = ["(" + "|".join(re.escape(value).replace("\\", "\\\\") for value in values) + ")"]
    return ({**choice, name: value} for value in values)


def _built_in(servers: Servers) -> dict[str, str]:
    now = time.time()
    return {
        "__rate_interval": servers.rate_interval,
        "__interval": "15s",
        "__range": f"{int(servers.window)}s",
        "__from": str(int((now - servers.window) * 1000)),
        "__to": str(int(now * 1000)),
    }


def _filled(text: str, choice: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        return choice.get(match[1] or match[2] or match[3], match[0])

    return _VARIABLE.sub(value, text)


def _variables_in(text: str) -> list[str]:
    return [match[0] for match in _VARIABLE.finditer(text)]


def _from_row(row: Mapping[str, Any]) -> dict[str, str]:
    """What a data link may say of the series that it was opened from."""
    labels = {name: value for name, value in row.items() if isinstance(value, str)}
    return {f"{place}.{name}": value for name, value in labels.items() for place in ("__field.labels", "__data.fields")}


def _panels(holder: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for panel in holder.get("panels", []):
        yield panel
        yield from _panels(panel)


def _least(problems: list[list[str]]) -> list[str]:
    return min(problems, key=len, default=[])


def _has_number(series: Mapping[str, Any]) -> bool:
    samples = series["values"] if "values" in series else [series["value"]]
    return any(not math.isnan(float(value)) for _, value in samples)


def _refusal(answer: httpx.Response) -> str:
    return f"{answer.url.path} said {answer.status_code}: {answer.text.strip()[:300]}"
