"""The dashboards as Grafana will read them: current, well-formed, and complete over the registry."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from spanguard import semconv

with warnings.catch_warnings():
    # Dashboards of the first schema are what file provisioning of every Grafana takes; the SDK would rather we moved on.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.models import dashboard as models

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "grafana" / "json").glob("*.json"))
DATASOURCES = yaml.safe_load((ROOT / "grafana/provisioning/datasources/spanguard.yaml").read_text("utf-8"))[
    "datasources"
]
GRID_WIDTH = 24
# Ids of Grafana's own units; it shows an unknown one as a suffix, without a word.
UNITS = {"short", "s", "percentunit", "cps", "reqps", "bytes"}
BUILT_IN = {"__all", "__rate_interval", "__interval", "__range", "__from", "__to"}
NEEDED_BY_QUERY = {"prometheus": "expr", "victoriametrics-logs-datasource": "expr", "jaeger": "service"}

Dashboard = dict[str, Any]


@pytest.fixture(params=FILES, ids=lambda path: path.name)
def board(request: pytest.FixtureRequest) -> Dashboard:
    loaded: Dashboard = json.loads(request.param.read_text("utf-8"))
    return loaded


def panels_of(board: Dashboard) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] not in {"row", "text"}]


def targets_of(board: Dashboard) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [(panel, target) for panel in panels_of(board) for target in panel["targets"]]


def variables_used_by(value: object) -> set[str]:
    found = re.findall(r"\$(?:\{([\w.]+)[^}]*\}|(\w+))", json.dumps(value))
    return {braced or plain for braced, plain in found}


def test_the_dashboards_are_there() -> None:
    assert [path.name for path in FILES] == [
        "error_handling.json",
        "guards.json",
        "rate_limiting.json",
        "validation.json",
    ]


def test_the_committed_json_is_what_the_code_writes() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "grafana.build", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr


def test_the_json_is_a_dashboard_of_grafanas_own_schema(board: Dashboard) -> None:
    # The classes are generated from Grafana's schema: what they do not know they lose.
    plugins.register_default_plugins()

    understood = json.loads(json.dumps(models.Dashboard.from_json(board), cls=JSONEncoder))

    assert understood == board


def test_a_dashboard_has_a_name_a_uid_and_a_schema_version(board: Dashboard) -> None:
    assert board["title"]
    assert re.fullmatch(r"[a-z0-9-]{1,40}", board["uid"])
    assert board["schemaVersion"] >= 39


def test_panel_ids_are_unique(board: Dashboard) -> None:
    ids = [panel["id"] for panel in board["panels"]]

    assert len(set(ids)) == len(ids)


def test_panels_lie_on_the_grid_and_do_not_overlap(board: Dashboard) -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in board["panels"]]

    for title, place in places:
        assert place["w"] > 0, title
        assert place["h"] > 0, title
        assert 0 <= place["x"] <= GRID_WIDTH - place["w"], title
    for (title, a), (other, b) in itertools.combinations(places, 2):
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, f"{title} and {other} overlap"


def test_every_panel_says_what_it_shows_and_asks_something(board: Dashboard) -> None:
    for panel in panels_of(board):
        assert panel["title"]
        assert panel["description"], panel["title"]
        references = [target["refId"] for target in panel["targets"]]
        assert references, panel["title"]
        assert len(set(references)) == len(references), panel["title"]


def test_every_query_goes_to_a_provisioned_data_source_and_asks_what_it_takes(board: Dashboard) -> None:
    provisioned = {source["uid"]: source["type"] for source in DATASOURCES}

    for panel, target in targets_of(board):
        source = target["datasource"]
        assert provisioned.get(source["uid"]) == source["type"], panel["title"]
        assert target[NEEDED_BY_QUERY[source["type"]]], panel["title"]


def test_every_variable_that_is_used_is_defined_and_the_reverse(board: Dashboard) -> None:
    defined = {variable["name"] for variable in board["templating"]["list"]}
    used = variables_used_by([board["panels"], board["links"], board["templating"]]) - BUILT_IN
    used = {name for name in used if not name.startswith(("__field.labels.", "__data.fields."))}

    assert used == defined


def test_every_unit_is_one_of_grafanas(board: Dashboard) -> None:
    units = {panel.get("fieldConfig", {}).get("defaults", {}).get("unit") for panel in panels_of(board)} - {None}

    assert units <= UNITS


def test_series_with_exemplars_lead_to_jaeger(board: Dashboard) -> None:
    (prometheus,) = (source for source in DATASOURCES if source["type"] == "prometheus")
    (jaeger,) = (source for source in DATASOURCES if source["type"] == "jaeger")

    histograms = [target for _, target in targets_of(board) if "_bucket" in target.get("expr", "")]
    assert bool(histograms) == any(target.get("exemplar") for target in histograms)
    assert {"name": "trace_id", "datasourceUid": jaeger["uid"]} in prometheus["jsonData"]["exemplarTraceIdDestinations"]


def test_every_metric_of_the_registry_is_on_a_dashboard() -> None:
    shown = " ".join(target.get("expr", "") for path in FILES for _, target in targets_of(json.loads(path.read_text())))

    missing = [metric.name for metric in semconv.METRICS if metric.name.replace(".", "_") not in shown]

    assert missing == []


def test_names_arrive_as_prometheus_translates_them() -> None:
    # Seen in a real Prometheus 3.16 behind the collector; written out here so that the translation has a witness.
    shown = "".join(file.read_text("utf-8") for file in FILES)

    for name in (
        "spanguard_circuit_breaker_calls_total{",
        "spanguard_circuit_breaker_status{",
        "spanguard_rate_limiting_request_time_in_queue_seconds_bucket{",
        "spanguard_rate_limiting_request_queued{",
        "spanguard_rate_limiting_permits_available{",
        "spanguard_alert_active{",
        "spanguard_telemetry_errors_total{",
        "spanguard_retry_budget_utilization_ratio{",
        "spanguard_dead_letter_queue_oldest_age_seconds{",
        "spanguard_validation_checks_total{",
        "spanguard_validation_model_failures_total{",
    ):
        assert name in shown
