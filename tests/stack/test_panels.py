"""The walk over the panels names what has no answer, asked of the real servers, and is silent about what has one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from stack import panels
from stack.servers import Servers, awaited

DASHBOARDS = Path(__file__).parents[2] / "grafana" / "json"
PROMETHEUS = {"type": "prometheus", "uid": "prometheus"}
LOGS = {"type": "victoriametrics-logs-datasource", "uid": "victorialogs"}
JAEGER = {"type": "jaeger", "uid": "jaeger"}


def a_panel(datasource: dict[str, str] = PROMETHEUS, **query: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "type": "timeseries",
        "title": "P",
        "datasource": datasource,
        "targets": [{"refId": "A", **query}],
    }


def a_variable(query: str, *, multi: bool = False) -> dict[str, Any]:
    return {"name": "job", "type": "query", "multi": multi, "query": {"query": query}}


@pytest.fixture
def walk(servers: Servers, tmp_path: Path) -> Any:
    """The walk over one dashboard of these parts."""

    def over(*of_panels: dict[str, Any], variables: tuple[dict[str, Any], ...] = (), links: Any = ()) -> list[str]:
        dashboard = {"panels": list(of_panels), "templating": {"list": list(variables)}, "links": list(links)}
        (tmp_path / "d.json").write_text(json.dumps(dashboard))
        endpoints = servers.endpoints
        return panels.empty_panels(
            tmp_path,
            prometheus=endpoints.prometheus,
            victorialogs=endpoints.victorialogs,
            jaeger=endpoints.jaeger,
            alertmanager=endpoints.alertmanager,
            window=300.0,
            rate_interval="15s",
        )

    return over


def test_a_panel_with_an_answer_is_not_named(walk: Any) -> None:
    assert walk(a_panel(expr="vector(1)"), a_panel(expr="vector(1)", instant=True)) == []


@pytest.mark.parametrize(
    ("panel", "problem"),
    [
        (a_panel(expr="no_such_metric"), "empty"),
        (a_panel(expr="vector(NaN)"), "empty"),
        (a_panel(expr="sum(rate(x))"), "said 400"),
        (a_panel(expr="vector(1)", legendFormat="{{policy}}"), "the legend's label 'policy' is on no series"),
        (a_panel(expr="vector(1) or no_such_metric", exemplar=True), "no exemplar has a trace_id"),
        (a_panel(expr='vector(1) + scalar(x{a="$nobody"})'), "undefined variable $nobody"),
        (a_panel(LOGS, expr="event_name:nothing_of_this_name"), "empty"),
        (a_panel(LOGS, expr="| | |"), "said 400"),
        (a_panel(JAEGER, service="nobody", queryType="search"), "empty"),
        (a_panel({"type": "loki"}, expr="{}"), "unknown data source 'loki'"),
        ({"id": 1, "type": "stat", "title": "P", "targets": []}, "no query"),
    ],
    ids=str,
)
def test_a_panel_without_a_right_answer_is_named(walk: Any, panel: dict[str, Any], problem: str) -> None:
    (line,) = walk(panel)

    assert line.startswith("d.json: panel 'P'")
    assert problem in line


def test_a_panel_inside_a_collapsed_row_is_walked_too(walk: Any) -> None:
    row = {"id": 2, "type": "row", "title": "R", "panels": [a_panel(expr="no_such_metric")]}

    assert len(walk(row)) == 1


def test_a_variable_without_values_is_named(walk: Any) -> None:
    assert walk(variables=(a_variable("label_values(no_such_metric, job)"),)) == ["d.json: variable job: no value"]


@pytest.mark.parametrize("multi", [False, True])
def test_a_variable_takes_its_values_from_its_own_query(walk: Any, servers: Servers, multi: bool) -> None:
    awaited(lambda: servers.promql("otelcol_process_uptime_seconds_total or otelcol_process_uptime_total"))
    variable = a_variable('label_values({__name__=~"otelcol_process_uptime.*"}, service_name)', multi=multi)
    panel = a_panel(expr='count({__name__=~"otelcol_process_uptime.*", service_name=~"^$job$"})')

    assert walk(panel, variables=(variable,)) == []


def test_a_link_to_traces_that_are_not_there_is_named(walk: Any) -> None:
    query = json.dumps({"t": {"datasource": "jaeger", "queries": [{"refId": "A", "service": "nobody"}]}})

    (line,) = walk(links=[{"title": "Traces", "url": f"/explore?panes={query}"}])

    assert line == "d.json: link 'Traces': empty"


def test_a_directory_without_a_dashboard_is_named(servers: Servers, tmp_path: Path) -> None:
    assert panels.empty_panels(tmp_path, prometheus="", victorialogs="", jaeger="", alertmanager="") == [
        f"{tmp_path}: no dashboard"
    ]


def test_prometheus_understands_every_query_of_the_dashboards(servers: Servers) -> None:
    queries = [
        target["expr"].replace("$__rate_interval", "1m")
        for file in DASHBOARDS.glob("*.json")
        for panel in json.loads(file.read_text("utf-8"))["panels"]
        for target in panel.get("targets", [])
        if target["datasource"]["type"] == "prometheus"
    ]

    assert queries
    with httpx.Client(base_url=servers.endpoints.prometheus, trust_env=False) as http:
        for query in queries:
            answer = http.post("/api/v1/format_query", data={"query": query})
            assert answer.status_code == httpx.codes.OK, answer.text
