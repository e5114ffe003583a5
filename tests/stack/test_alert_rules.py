"""The alert rules: their own tests, their runbooks, and live faults that fire and clear each of them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from spanguard import semconv
from spanguard.stack import Stack, StackSettings
from stack.servers import Servers, awaited

REPOSITORY = Path(__file__).parents[2]
RULES = REPOSITORY / "collector" / "rules"
ALERTMANAGER_YML = REPOSITORY / "collector" / "servers" / "alertmanager" / "alertmanager.yml"
RUNBOOK_BASE = "https://github.com/spanguard/spanguard/blob/main/"

SERVICE = "rules-app"

# Raises the application alert of a dependency, and resolves it when a line comes on its standard input.
DEPENDENCY_PROGRAM = """
import sys
from spanguard import telemetry
from spanguard.monitoring import alert_manager

running = telemetry.setup(service_name=sys.argv[1], environment="test")
labels = {"spanguard_policy_name": sys.argv[2]}
alert_manager.raise_alert("DependencyUnavailable", "critical", summary="Gone", labels=labels)
running.force_flush()
input()
alert_manager.resolve_alert("DependencyUnavailable", labels=labels)
running.shutdown()
"""


class Guards:
    """What the guards of an application report, as numbers that a test sets."""

    def __init__(self, endpoint: str) -> None:
        self.open_breakers: dict[str, int] = {}
        self.requests: dict[tuple[str, str], int] = {}
        resource = Resource.create({"service.name": SERVICE, semconv.DEPLOYMENT_ENVIRONMENT: "test"})
        exporter = OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics")
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=500)
        self._provider = MeterProvider([reader], resource=resource)
        meter = self._provider.get_meter(semconv.SCHEMA_SCOPE)
        status, requests = semconv.BREAKER_STATUS_METRIC, semconv.LIMITER_REQUESTS_METRIC
        meter.create_observable_up_down_counter(status.name, [self._status], status.unit)
        meter.create_observable_counter(requests.name, [self._requests], requests.unit)

    def shutdown(self) -> None:
        self._provider.shutdown()

    def _status(self, _: CallbackOptions) -> list[Observation]:
        return [
            Observation(number, {semconv.POLICY_NAME.key: policy, semconv.BREAKER_STATE.key: "open"})
            for policy, number in self.open_breakers.items()
        ]

    def _requests(self, _: CallbackOptions) -> list[Observation]:
        return [
            Observation(number, {semconv.POLICY_NAME.key: policy, semconv.LIMITER_RESULT.key: result})
            for (policy, result), number in self.requests.items()
        ]


@pytest.fixture(scope="module")
def guards(servers: Servers) -> Iterator[Guards]:
    reported = Guards(servers.endpoints.otlp_http)
    yield reported
    reported.shutdown()


def of_policy(servers: Servers, alert: str, policy: str, state: str) -> list[dict[str, Any]]:
    return [
        one
        for one in servers.alerts(alert)
        if one["labels"].get("spanguard_policy_name") == policy and one["status"]["state"] == state
    ]


def test_the_rules_pass_their_own_tests(stack: Stack) -> None:
    promtool = stack.build()["prometheus"] / "promtool"

    for arguments in (
        ["check", "rules", "guards.yml", "rate_limiting.yml", "pipeline.yml"],
        ["test", "rules", "guards_test.yml", "rate_limiting_test.yml", "pipeline_test.yml"],
    ):
        told = subprocess.run([promtool, *arguments], cwd=RULES, capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stdout + told.stderr


def test_every_alert_has_a_runbook_of_its_name(servers: Servers) -> None:
    groups = servers.rules()
    alerts = [rule for group in groups for rule in group["rules"] if rule["type"] == "alerting"]

    assert {rule["name"] for rule in alerts} == {
        "BackpressureShedding",
        "CircuitBreakerOpen",
        "RateLimiterBlocking",
        "RateLimiterDegraded",
        "TelemetryPipelineDown",
        "Watchdog",
    }
    for rule in alerts:
        url = rule["annotations"]["runbook_url"]
        assert url == f"{RUNBOOK_BASE}docs/runbooks/{rule['name']}.md"
        assert (REPOSITORY / url.removeprefix(RUNBOOK_BASE)).is_file()


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["alertname=Watchdog", "severity=info"], "watchdog"),
        (["alertname=CircuitBreakerOpen", "severity=critical"], "critical"),
        (["alertname=RateLimiterBlocking", "severity=warning"], "warning"),
        (["alertname=SomethingOfYours", "severity=info"], "info"),
        (["alertname=WithoutSeverity"], "warning"),
    ],
)
def test_alerts_are_routed_by_severity(stack: Stack, labels: list[str], receiver: str) -> None:
    amtool = stack.build()["alertmanager"] / "amtool"

    told = subprocess.run(
        [
            amtool,
            "config",
            "routes",
            "test",
            f"--config.file={ALERTMANAGER_YML}",
            f"--verify.receivers={receiver}",
            *labels,
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 0, told.stdout + told.stderr


def test_an_open_breaker_fires_with_links_and_clears_when_it_closes(servers: Servers, guards: Guards) -> None:
    guards.open_breakers["bank"] = 1

    (alert,) = awaited(lambda: of_policy(servers, "CircuitBreakerOpen", "bank", "active"))
    assert alert["labels"] == {
        "alertname": "CircuitBreakerOpen",
        "severity": "critical",
        "service_name": SERVICE,
        "deployment_environment": "test",
        "spanguard_policy_name": "bank",
    }
    assert alert["annotations"]["trace_url"] == (
        f"{servers.endpoints.jaeger}/search?service={SERVICE}"
        "&tags=%7B%22spanguard.policy.name%22%3A%22bank%22%7D&lookback=1h"
    )

    guards.open_breakers["bank"] = 0

    assert awaited(lambda: not servers.alerts("CircuitBreakerOpen"))


def test_first_rejections_fire_a_blocking_limiter_which_clears_when_they_are_over(
    servers: Servers, guards: Guards
) -> None:
    guards.requests["post", "acquired"] = 10
    guards.requests["post", "rejected"] = 30

    (alert,) = awaited(lambda: of_policy(servers, "RateLimiterBlocking", "post", "active"))
    assert alert["annotations"]["summary"] == f"The rate limiter post of {SERVICE} blocks 75% of requests."

    assert awaited(lambda: not of_policy(servers, "RateLimiterBlocking", "post", "active"))


def test_an_open_breaker_holds_back_the_limiter_of_its_policy_and_no_other(servers: Servers, guards: Guards) -> None:
    guards.open_breakers["mint"] = 1
    awaited(lambda: of_policy(servers, "CircuitBreakerOpen", "mint", "active"))

    for policy in ("mint", "toll"):
        guards.requests[policy, "timed_out"] = 40

    assert awaited(lambda: of_policy(servers, "RateLimiterBlocking", "toll", "active"))
    (held,) = awaited(lambda: of_policy(servers, "RateLimiterBlocking", "mint", "suppressed"))
    assert held["status"]["inhibitedBy"]

    guards.open_breakers["mint"] = 0


def test_the_application_alert_of_a_dependency_holds_back_its_limiter(servers: Servers, guards: Guards) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    with subprocess.Popen(
        [sys.executable, "-c", DEPENDENCY_PROGRAM, SERVICE, "dock"],
        env={**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": servers.endpoints.otlp_http},
        stdin=subprocess.PIPE,
        text=True,
    ) as program:
        awaited(lambda: of_policy(servers, "DependencyUnavailable", "dock", "active"))
        guards.requests["dock", "rejected"] = 40

        (held,) = awaited(lambda: of_policy(servers, "RateLimiterBlocking", "dock", "suppressed"))
        assert held["status"]["inhibitedBy"]

        program.communicate("\n", timeout=30)
    assert awaited(lambda: not servers.alerts("DependencyUnavailable"))


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_dead_server_and_then_a_dead_collector_fire_the_alert_of_the_pipeline(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A window of rules needs several reports of the collector on itself.
    monkeypatch.setenv("SPANGUARD_SELF_INTERVAL_MS", "1000")
    faulty = Stack(
        StackSettings.load(
            data_dir=tmp_path,
            free_ports=True,
            evaluation_interval=1,
            metrics_flush_interval=1,
            rate_window=6,
            group_wait=0.1,
        )
    )
    endpoints = faulty.up()
    asked = Servers(endpoints)
    pids = {server.name: server.pid for server in faulty.status().servers}

    def reasons() -> set[str]:
        return {alert["labels"]["reason"] for alert in asked.alerts("TelemetryPipelineDown")}

    try:
        assert awaited(lambda: asked.promql("exporter_signal:otelcol_exporter_sent:increase > 0"))
        assert reasons() == set()

        os.kill(pids["jaeger"], signal.SIGKILL)
        tracing = TracerProvider()
        tracing.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoints.otlp_http}/v1/traces")))
        tracing.get_tracer("rules").start_span("kept on disk").end()
        assert awaited(lambda: "stalled" in reasons(), seconds=90)
        assert reasons() == {"stalled"}

        os.kill(pids["collector"], signal.SIGKILL)
        assert awaited(lambda: "collector_silent" in reasons(), seconds=90)
    finally:
        asked.close()
        faulty.down()


def test_the_rules_have_what_a_native_run_replaces() -> None:
    for name in ("guards.yml", "rate_limiting.yml", "pipeline.yml"):
        durations = set(re.findall(r"\[(\w+)\]|offset (\w+)", (RULES / name).read_text("utf-8")))
        assert durations == {("5m", ""), ("", "5m")}, (
            f"{name} has a window that the setting rate_window would not reach"
        )
