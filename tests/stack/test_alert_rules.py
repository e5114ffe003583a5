"""The alert rules: their own tests, their runbooks, and live faults that fire and clear each of them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
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
RULE_FILES = sorted(file.name for file in RULES.glob("*.yml") if not file.stem.endswith("_test"))
ALERTMANAGER_YML = REPOSITORY / "collector" / "servers" / "alertmanager" / "alertmanager.yml"
RUNBOOK_BASE = "https://github.com/spanguard/spanguard/blob/main/"

SERVICE = "rules-app"

QUEUE_SIZE = "service_queue:spanguard_dead_letter_queue_size:max"
# What troubled_program.py brings about: the alert, and the label that says of what.
TROUBLES = [
    ("RetryBudgetExhausted", "spanguard_policy_name", "hopeless"),
    ("BulkheadSaturated", "spanguard_policy_name", "crowded"),
    ("DeadLetterQueueGrowing", "spanguard_dead_letter_queue_name", "flooded"),
    ("DeadLettersOld", "spanguard_dead_letter_queue_name", "forgotten"),
]

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
        self.degraded_storages: dict[str, int] = {}
        self.requests: dict[tuple[str, str], int] = {}
        self.retries: dict[tuple[str, str], int] = {}
        self.admissions: dict[tuple[str, str], int] = {}
        resource = Resource.create({"service.name": SERVICE, semconv.DEPLOYMENT_ENVIRONMENT: "test"})
        exporter = OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics")
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=500)
        self._provider = MeterProvider([reader], resource=resource)
        meter = self._provider.get_meter(semconv.SCHEMA_SCOPE)
        status = semconv.BREAKER_STATUS_METRIC
        meter.create_observable_up_down_counter(status.name, [self._status], status.unit)
        storages = semconv.BREAKER_STORAGE_STATUS_METRIC
        meter.create_observable_up_down_counter(storages.name, [self._storages], storages.unit)
        for metric, attribute, numbers in (
            (semconv.LIMITER_REQUESTS_METRIC, semconv.LIMITER_RESULT, self.requests),
            (semconv.RETRY_CALLS_METRIC, semconv.RETRY_REASON, self.retries),
            (semconv.BULKHEAD_CALLS_METRIC, semconv.BULKHEAD_OUTCOME, self.admissions),
        ):
            meter.create_observable_counter(metric.name, [partial(_counted, attribute, numbers)], metric.unit)

    def shutdown(self) -> None:
        self._provider.shutdown()

    def _status(self, _: CallbackOptions) -> list[Observation]:
        return [
            Observation(number, {semconv.POLICY_NAME.key: policy, semconv.BREAKER_STATE.key: "open"})
            for policy, number in self.open_breakers.items()
        ]

    def _storages(self, _: CallbackOptions) -> list[Observation]:
        return [
            Observation(number, {semconv.POLICY_NAME.key: policy, semconv.BREAKER_STORAGE_STATE.key: "degraded"})
            for policy, number in self.degraded_storages.items()
        ]


def _counted(
    attribute: semconv.Attribute, numbers: dict[tuple[str, str], int], _: CallbackOptions
) -> list[Observation]:
    return [
        Observation(number, {semconv.POLICY_NAME.key: policy, attribute.key: value})
        for (policy, value), number in numbers.items()
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
        ["check", "rules", *RULE_FILES],
        ["test", "rules", *(name.replace(".yml", "_test.yml") for name in RULE_FILES)],
    ):
        told = subprocess.run([promtool, *arguments], cwd=RULES, capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stdout + told.stderr


def test_every_alert_has_a_runbook_of_its_name(servers: Servers) -> None:
    groups = servers.rules()
    alerts = [rule for group in groups for rule in group["rules"] if rule["type"] == "alerting"]

    assert {rule["name"] for rule in alerts} == {
        "BackpressureShedding",
        "BulkheadSaturated",
        "CircuitBreakerOpen",
        "CircuitBreakerStorageDegraded",
        "DeadLetterQueueGrowing",
        "DeadLettersOld",
        "RateLimiterBlocking",
        "RateLimiterDegraded",
        "RetryBudgetExhausted",
        "TelemetryPipelineDown",
        "ThreatSpike",
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


def test_a_breaker_that_is_not_shared_fires_and_clears_when_it_is(servers: Servers, guards: Guards) -> None:
    guards.degraded_storages["bank"] = 1

    (alert,) = awaited(lambda: of_policy(servers, "CircuitBreakerStorageDegraded", "bank", "active"))
    assert alert["annotations"]["summary"] == f"The circuit breaker bank of {SERVICE} is not shared."

    guards.degraded_storages["bank"] = 0

    assert awaited(lambda: not of_policy(servers, "CircuitBreakerStorageDegraded", "bank", "active"))


def test_first_rejections_fire_a_blocking_limiter_which_clears_when_they_are_over(
    servers: Servers, guards: Guards
) -> None:
    guards.requests["post", "acquired"] = 10
    guards.requests["post", "rejected"] = 30

    (alert,) = awaited(lambda: of_policy(servers, "RateLimiterBlocking", "post", "active"))
    assert alert["annotations"]["summary"] == f"The rate limiter post of {SERVICE} blocks 75% of requests."

    assert awaited(lambda: not of_policy(servers, "RateLimiterBlocking", "post", "active"))


@pytest.fixture(scope="module")
def trouble(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """A program whose retry, bulkhead and dead letters have just come into trouble."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("troubled_program.py"), tmp_path_factory.mktemp("troubled")],
        env={
            **environment,
            "OTEL_EXPORTER_OTLP_ENDPOINT": servers.endpoints.otlp_http,
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
        },
        stdin=subprocess.PIPE,
        text=True,
    ) as program:
        awaited(lambda: servers.promql(f'{QUEUE_SIZE}{{spanguard_dead_letter_queue_name="flooded"}} == 0'))
        _tell(program)
        yield program
        program.communicate("\n", timeout=30)
    assert program.returncode == 0


@pytest.fixture(scope="module")
def fired(trouble: subprocess.Popen[str], servers: Servers) -> dict[str, dict[str, Any]]:
    """The alerts on it, each as it was when it was first seen: some are over after a window."""
    seen: dict[str, dict[str, Any]] = {}

    def has_seen_all() -> bool:
        for name, _, _ in TROUBLES:
            for alert in troubled(servers, name):
                seen.setdefault(name, alert)
        return len(seen) == len(TROUBLES)

    awaited(has_seen_all)
    return seen


@pytest.fixture(scope="module")
def mended(trouble: subprocess.Popen[str], fired: dict[str, dict[str, Any]]) -> None:
    """The program's dead letters are put right; its other troubles end by themselves."""
    _tell(trouble)


def troubled(servers: Servers, alert: str) -> list[dict[str, Any]]:
    return [one for one in servers.alerts(alert) if one["labels"]["service_name"] == "troubled"]


def _tell(program: subprocess.Popen[str]) -> None:
    assert program.stdin is not None
    program.stdin.write("\n")
    program.stdin.flush()


@pytest.mark.parametrize(("name", "label", "of"), TROUBLES)
def test_trouble_with_a_policy_fires_with_a_link_to_its_traces(
    servers: Servers, fired: dict[str, dict[str, Any]], name: str, label: str, of: str
) -> None:
    alert = fired[name]

    assert alert["labels"] == {
        "alertname": name,
        "severity": "warning",
        "service_name": "troubled",
        "deployment_environment": "test",
        label: of,
    }
    assert awaited(lambda: servers.traces_behind(alert["annotations"]["trace_url"]))


@pytest.mark.parametrize("name", [name for name, _, _ in TROUBLES])
def test_the_alert_clears_when_the_trouble_is_over(servers: Servers, mended: None, name: str) -> None:
    assert awaited(lambda: not troubled(servers, name))


def test_an_open_breaker_holds_back_the_symptoms_of_its_policy_and_no_other(servers: Servers, guards: Guards) -> None:
    guards.open_breakers["mint"] = 1
    awaited(lambda: of_policy(servers, "CircuitBreakerOpen", "mint", "active"))

    for policy in ("mint", "toll"):
        guards.requests[policy, "timed_out"] = 40
        guards.retries[policy, "budget"] = 40
        guards.admissions[policy, "rejected"] = 40

    for symptom in ("RateLimiterBlocking", "RetryBudgetExhausted", "BulkheadSaturated"):
        assert awaited(partial(of_policy, servers, symptom, "toll", "active"))
        (held,) = awaited(partial(of_policy, servers, symptom, "mint", "suppressed"))
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
    for name in RULE_FILES:
        durations = set(re.findall(r"\[(\w+)\]|offset (\w+)", (RULES / name).read_text("utf-8")))
        assert durations == {("5m", ""), ("", "5m")}, (
            f"{name} has a window that the setting rate_window would not reach"
        )
