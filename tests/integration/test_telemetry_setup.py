"""`setup()` in a process of its own, against a real OTLP endpoint."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from spanguard import semconv
from spanguard.testing import OtlpReceiver

CALLS = semconv.BREAKER_CALLS_METRIC.name
QUEUE = semconv.LIMITER_TIME_IN_QUEUE_METRIC.name

Run = Callable[..., subprocess.CompletedProcess[str]]

PRELUDE = """
import os, sys, threading
from spanguard import semconv, telemetry
from spanguard.telemetry import COUNTS
from spanguard.telemetry.histograms import record
from spanguard.telemetry.spans import start_guard_span
def count(amount):
    COUNTS.add(semconv.BREAKER_CALLS_METRIC, {"spanguard.policy.name": "p"}, amount)
"""


@pytest.fixture
def run(otlp_receiver: OtlpReceiver) -> Run:
    """Run a program whose telemetry goes to the receiver."""

    def run_program(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
        return subprocess.run(
            [sys.executable, "-c", PRELUDE + textwrap.dedent(program)],
            env={**clean, "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_receiver.endpoint, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run_program


def resources(receiver: OtlpReceiver) -> list[dict[str, Any]]:
    return [dict(span.resource) for span in receiver.signals.spans()]


def test_all_three_signals_arrive_over_http_protobuf_by_default(run: Run, otlp_receiver: OtlpReceiver) -> None:
    result = run("""
        t = telemetry.setup(service_name="shop")
        with start_guard_span("p", count) as span:
            telemetry.emit(semconv.ALERT_EVENT, {}, body="x")
        span.end("success")
        count(3)
        t.shutdown()
        print(t.built, t.joined)
    """)
    assert result.stdout == "('traces', 'metrics', 'logs') ()\n", result.stderr
    assert [span.name for span in otlp_receiver.signals.spans()] == ["guard p"]
    assert [event.name for event in otlp_receiver.signals.events()] == ["spanguard.alert"]
    assert otlp_receiver.signals.value(CALLS) == 3


def test_the_resource_names_service_version_instance_and_environment(run: Run, otlp_receiver: OtlpReceiver) -> None:
    result = run("""
        t = telemetry.setup(service_name="shop", service_version="1.2", environment="staging")
        start_guard_span("p", count).end("success")
        t.shutdown()
    """)
    (resource,) = resources(otlp_receiver)
    assert result.returncode == 0, result.stderr
    assert resource["service.name"] == "shop"
    assert resource["service.version"] == "1.2"
    assert resource["deployment.environment.name"] == "staging"
    assert resource["service.instance.id"]


def test_the_environment_wins_over_the_arguments(run: Run, otlp_receiver: OtlpReceiver) -> None:
    run(
        """
        t = telemetry.setup(service_name="shop", environment="staging")
        start_guard_span("p", count).end("success")
        t.shutdown()
        """,
        OTEL_SERVICE_NAME="by-operator",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=prod",
    )
    (resource,) = resources(otlp_receiver)
    assert (resource["service.name"], resource["deployment.environment.name"]) == ("by-operator", "prod")


def test_the_sampler_of_the_environment_is_honoured(run: Run, otlp_receiver: OtlpReceiver) -> None:
    result = run(
        """
        t = telemetry.setup(service_name="shop")
        start_guard_span("p", count).end("success")
        count(1)
        t.shutdown()
        """,
        OTEL_TRACES_SAMPLER="always_off",
    )
    assert result.returncode == 0, result.stderr
    assert (otlp_receiver.signals.spans(), otlp_receiver.signals.value(CALLS)) == ([], 1)


def test_an_exporter_set_to_none_is_left_out(run: Run, otlp_receiver: OtlpReceiver) -> None:
    run(
        """
        t = telemetry.setup(service_name="shop")
        start_guard_span("p", count).end("success")
        count(1)
        t.shutdown()
        """,
        OTEL_METRICS_EXPORTER="none",
    )
    assert (len(otlp_receiver.signals.spans()), otlp_receiver.signals.points(CALLS)) == (1, [])


def test_an_unknown_exporter_is_one_clear_message(run: Run) -> None:
    result = run(
        """
        try:
            telemetry.setup(service_name="shop")
        except ValueError as error:
            print(type(error).__name__, error)
        """,
        OTEL_TRACES_EXPORTER="carrier_pigeon",
    )
    assert result.stdout.startswith("ConfigurationError ")
    assert "carrier_pigeon" in result.stdout
    assert "OTEL_TRACES_EXPORTER" in result.stdout


def test_a_configuration_file_that_nothing_can_read_is_one_clear_message(run: Run) -> None:
    result = run(
        """
        try:
            telemetry.setup(service_name="shop")
        except ValueError as error:
            print(type(error).__name__, error)
        """,
        OTEL_CONFIG_FILE="nowhere.yaml",
    )
    assert result.stdout.startswith("ConfigurationError "), result.stderr
    assert "OTEL_CONFIG_FILE" in result.stdout


def test_python_logs_are_exported_where_the_environment_asks_for_it(run: Run, otlp_receiver: OtlpReceiver) -> None:
    run(
        """
        import logging, warnings
        warnings.simplefilter("ignore")
        t = telemetry.setup(service_name="shop")
        logging.getLogger("app").warning("seen")
        t.shutdown()
        """,
        OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED="true",
    )
    assert "seen" in [record.body for record in otlp_receiver.signals.logs()]


def test_a_disabled_sdk_looks_for_no_collector(run: Run) -> None:
    result = run(
        """
        import logging, threading
        logging.basicConfig()
        telemetry.setup(service_name="shop")
        [thread.join() for thread in threading.enumerate() if thread.name == "spanguard-endpoints"]
        """,
        OTEL_SDK_DISABLED="true",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_a_second_setup_returns_the_first(run: Run) -> None:
    result = run("""
        print(telemetry.setup() is telemetry.setup())
    """)
    assert result.stdout == "True\n", result.stderr


def test_a_provider_of_the_application_is_joined_and_not_shut_down(run: Run, otlp_receiver: OtlpReceiver) -> None:
    result = run("""
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        host = TracerProvider()
        host.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(host)
        t = telemetry.setup(service_name="shop")
        count(1)
        t.shutdown()
        start_guard_span("late", count).end("success")
        print(t.built, t.joined, trace.get_tracer_provider() is host)
    """)
    assert result.stdout == "('metrics', 'logs') ('traces',) True\n", result.stderr
    assert [span.name for span in otlp_receiver.signals.spans()] == ["guard late"]
    assert otlp_receiver.signals.value(CALLS) == 1


def test_a_provider_set_after_the_guards_gets_their_counts(run: Run, otlp_receiver: OtlpReceiver) -> None:
    run("""
        count(5)
        telemetry.setup(service_name="shop").shutdown()
    """)
    assert otlp_receiver.signals.value(CALLS) == 5


def test_parent_and_forked_child_add_up_to_the_truth(run: Run, otlp_receiver: OtlpReceiver) -> None:
    result = run("""
        from opentelemetry import metrics
        t = telemetry.setup(service_name="shop")
        attributes = {"spanguard.policy.name": "p"}
        count(5)
        record(semconv.LIMITER_TIME_IN_QUEUE_METRIC, 0.3, attributes)
        t.force_flush()
        reader = next(iter(metrics.get_meter_provider()._metric_readers))
        with reader._export_lock:  # the parent is exporting at the moment of the fork
            pid = os.fork()
        if pid == 0:
            count(2)
            record(semconv.LIMITER_TIME_IN_QUEUE_METRIC, 0.3, attributes)
            os._exit(0 if t.force_flush() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        count(1)
        t.shutdown()
    """)
    assert result.returncode == 0, result.stderr
    points = otlp_receiver.signals.points(CALLS)
    assert sorted(point.value for point in points) == [2, 6]
    assert len({point.resource["service.instance.id"] for point in points}) == 2
    assert sorted(point.value for point in otlp_receiver.signals.points(QUEUE)) == [1, 1]


def test_durations_have_buckets_in_seconds(run: Run, otlp_receiver: OtlpReceiver) -> None:
    run("""
        t = telemetry.setup(service_name="shop")
        record(semconv.LIMITER_TIME_IN_QUEUE_METRIC, 0.3, {})
        t.shutdown()
    """)
    (point,) = otlp_receiver.signals.points(QUEUE)
    assert (point.unit, point.bounds, point.sum) == ("s", semconv.QUEUE_BUCKETS, 0.3)


def test_an_exit_with_a_dead_collector_keeps_to_its_budget(run: Run) -> None:
    result = run(
        """
        t = telemetry.setup(service_name="shop")
        start_guard_span("p", count).end("success")
        count(1)
        print(t.shutdown(timeout=0.5))
        os._exit(0)
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
    )
    assert result.stdout == "False\n", result.stderr


@pytest.mark.parametrize("endpoint", ["collector:4318", "ftp://collector:4318", "http://", "http://collector:port"])
def test_an_address_that_is_no_url_is_refused_at_start(run: Run, endpoint: str) -> None:
    result = run(
        """
        try:
            telemetry.setup(service_name="shop")
        except ValueError as error:
            print(error)
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
    )
    assert result.stdout == (
        f"OTEL_EXPORTER_OTLP_ENDPOINT is {endpoint!r}; it must be a URL such as http://localhost:4318, http or https.\n"
    ), result.stderr


def test_a_refused_address_does_not_tell_its_password(run: Run) -> None:
    result = run(
        """
        try:
            telemetry.setup(service_name="shop")
        except ValueError as error:
            print(error)
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT="ftp://user:secret@collector/?token=secret",
    )
    assert "'ftp://collector/'" in result.stdout
    assert "secret" not in result.stdout + result.stderr


def test_a_collector_that_does_not_answer_is_told_once(run: Run) -> None:
    result = run(
        """
        import logging, threading
        logging.basicConfig(format="%(name)s %(message)s")
        t = telemetry.setup(service_name="shop")
        [thread.join() for thread in threading.enumerate() if thread.name == "spanguard-endpoints"]
        for _ in range(3):
            start_guard_span("p", count).end("success")
            t.force_flush(timeout=1.0)
        os._exit(0)
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
        OTEL_METRICS_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
    )
    ours = [line for line in result.stderr.splitlines() if line.startswith("spanguard ")]
    theirs = [line for line in result.stderr.splitlines() if line.startswith("opentelemetry.exporter")]
    (line,) = ours
    assert line == (
        "spanguard no collector answers at http://127.0.0.1:9 (OTEL_EXPORTER_OTLP_ENDPOINT): Connection refused. The "
        "application runs on; what cannot be exported in time is lost. Start one with `spanguard stack up`, or point "
        "OTEL_EXPORTER_OTLP_ENDPOINT at yours."
    )
    assert len(theirs) == 1
