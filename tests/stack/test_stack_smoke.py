"""A Python program's span, metric, event and alert reach the servers, and the stack is what it says it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from spanguard.errors import ResourceUnavailableError
from spanguard.stack import Stack, StackSettings
from stack.servers import Servers, awaited

# One faulty operation: its span, its duration (which carries an exemplar) and its alert. It prints the trace id, then
# resolves the alert when a line comes on its standard input.
PROGRAM = """
from opentelemetry import metrics, trace
from spanguard import telemetry
from spanguard.monitoring import alert_manager

running = telemetry.setup(service_name="smoke-app", environment="test")
duration = metrics.get_meter("app").create_histogram("app.fault.duration", "s", explicit_bucket_boundaries_advisory=[0.1, 1.0])
with trace.get_tracer("app").start_as_current_span("fault") as span:
    duration.record(0.25)
    alert_manager.raise_alert("SmokeFault", "critical", summary="Seen in the smoke test", labels={"part": "smoke"})
    print(f"{span.get_span_context().trace_id:032x}", flush=True)
running.force_flush()
input()
alert_manager.resolve_alert("SmokeFault", labels={"part": "smoke"})
running.shutdown()
"""


@pytest.fixture(scope="module")
def app(servers: Servers) -> Iterator[subprocess.Popen[str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": servers.endpoints.otlp_http},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        yield program
        program.kill()


@pytest.fixture(scope="module")
def trace_id(app: subprocess.Popen[str]) -> str:
    assert app.stdout is not None
    return app.stdout.readline().strip()


def test_the_span_reaches_jaeger(servers: Servers, trace_id: str) -> None:
    (span,) = awaited(lambda: servers.trace(trace_id))

    assert span["name"] == "fault"
    assert span["service"] == "smoke-app"


def test_the_metric_reaches_prometheus_with_its_resource(servers: Servers, trace_id: str) -> None:
    (series,) = awaited(lambda: servers.promql('app_fault_duration_seconds_count{service_name="smoke-app"}'))

    assert series["value"][1] == "1"
    assert series["metric"]["deployment_environment_name"] == "test"


def test_the_metric_has_an_exemplar_of_the_trace(servers: Servers, trace_id: str) -> None:
    (exemplar,) = awaited(lambda: servers.exemplars("app_fault_duration_seconds_bucket"))

    assert exemplar["labels"]["trace_id"] == trace_id
    assert exemplar["value"] == "0.25"


def test_the_collector_makes_metrics_of_the_span(servers: Servers, trace_id: str) -> None:
    query = 'traces_span_metrics_calls_total{service_name="smoke-app", span_name="fault"} == 1'

    assert awaited(lambda: servers.promql(query))


def test_the_event_reaches_the_log_store_with_its_trace(servers: Servers, trace_id: str) -> None:
    (record,) = awaited(lambda: servers.logsql(f'event_name:"spanguard.alert" trace_id:"{trace_id}"'))

    assert record["spanguard.alert.name"] == "SmokeFault"
    assert record["service.name"] == "smoke-app"


def test_the_alert_fires_with_a_link_to_the_trace_and_resolves(
    servers: Servers, app: subprocess.Popen[str], trace_id: str
) -> None:
    (alert,) = awaited(lambda: servers.alerts("SmokeFault"))
    assert alert["status"]["state"] == "active"
    assert alert["labels"]["severity"] == "critical"
    assert alert["labels"]["service_name"] == "smoke-app"
    assert alert["labels"]["part"] == "smoke"
    assert alert["annotations"]["trace_url"] == f"{servers.endpoints.jaeger}/trace/{trace_id}"

    app.communicate("\n", timeout=30)

    assert app.returncode == 0
    assert awaited(lambda: not servers.alerts("SmokeFault"))


def test_the_rules_are_loaded_and_the_watchdog_fires(servers: Servers) -> None:
    assert awaited(lambda: servers.alerts("Watchdog"))


def test_no_server_listens_on_anything_but_loopback(stack: Stack) -> None:
    for server in stack.status().servers:
        sockets = psutil.Process(server.pid).net_connections()
        listening = {str(s.laddr[0]) for s in sockets if s.status == psutil.CONN_LISTEN or not s.raddr}
        assert listening, server.name
        assert listening <= {"127.0.0.1", "::1"}, server.name


def test_every_server_says_nothing_of_an_error_at_its_start(stack: Stack) -> None:
    complaints = [
        line for _, line in stack.logs(lines=200) if "level=error" in line.lower() or '"level":"error"' in line
    ]

    assert complaints == []


def test_up_again_is_refused(stack: Stack) -> None:
    with pytest.raises(ResourceUnavailableError, match="is up already"):
        stack.up()

    assert stack.status().healthy


def test_a_second_stack_beside_it_shows_a_killed_server_and_leaves_no_process(stack: Stack, tmp_path: Path) -> None:
    second = Stack(StackSettings.load(data_dir=tmp_path, free_ports=True))
    second.up()
    pids = {server.name: server.pid for server in second.status().servers}
    os.kill(pids["victorialogs"], signal.SIGKILL)

    assert awaited(lambda: [s.name for s in second.status().servers if not s.running]) == ["victorialogs"]
    assert not second.status().healthy
    assert set(second.down()) == set(pids) - {"victorialogs"}

    assert [pid for pid in pids.values() if psutil.pid_exists(pid) and not _is_defunct(pid)] == []
    assert stack.status().healthy


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_interrupted_while_it_starts_the_servers_leaves_none(
    stack: Stack, tmp_path: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-c", "import spanguard.cli; spanguard.cli.main()", "stack", "up", "--free-ports"]

    with subprocess.Popen([*command, f"--data-dir={tmp_path}"], stderr=subprocess.PIPE, text=True) as starting:
        second = Stack(StackSettings.load(data_dir=tmp_path))
        awaited(lambda: second.status().servers)
        starting.send_signal(number)
        assert starting.stderr is not None
        said = starting.stderr.read()

    assert starting.returncode != 0
    assert "Traceback" not in said
    assert second.status().servers == ()
    assert [process for process in psutil.process_iter() if _works_in(process, tmp_path)] == []


def _works_in(process: psutil.Process, directory: Path) -> bool:
    try:
        return Path(process.cwd()).is_relative_to(directory) and not _is_defunct(process.pid)
    except psutil.Error:
        return False


def _is_defunct(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
