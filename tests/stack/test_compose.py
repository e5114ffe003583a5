"""The stack in containers on a real Docker engine: an application's signals go through to every server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from spanguard.stack import GoMissingError, Stack, StackEndpoints, StackSettings
from spanguard.stack.ports import choose_ports
from stack.docker_tools import BASE, LOCAL, MANIFEST, SERVERS, compose_command, unavailable
from stack.servers import Servers, awaited

pytestmark = [pytest.mark.stack, pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]

# An application with one faulty operation: its span, its duration with an exemplar, its alert. It prints the trace id.
PROGRAM = """
from opentelemetry import metrics, trace
from spanguard import telemetry
from spanguard.monitoring import alert_manager

running = telemetry.setup(service_name="compose-app", environment="test")
duration = metrics.get_meter("app").create_histogram("app.fault.duration", "s")
with trace.get_tracer("app").start_as_current_span("fault") as span:
    duration.record(0.25)
    alert_manager.raise_alert("ComposeFault", "critical", summary="Seen from a container", labels={"part": "compose"})
    print(f"{span.get_span_context().trace_id:032x}")
running.shutdown()
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[dict[str, str]]:
    """The environment in which `docker` reaches an engine: the one at hand, or one started for these tests alone."""
    if shutil.which("docker") is None:
        unavailable("Docker is not installed")
    if engine_answers(os.environ):
        yield dict(os.environ)
        return
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        unavailable("no Docker engine answers, and only root with dockerd installed can start one")
    # Short: the path of a Unix socket has 108 characters at most.
    with tempfile.TemporaryDirectory(prefix="sg-docker-", ignore_cleanup_errors=True) as home:
        socket_url = f"unix://{home}/sock"
        log = Path(home, "log")
        command = ["dockerd", "--storage-driver=vfs", f"--host={socket_url}", f"--pidfile={home}/pid"]
        with log.open("wb") as output:
            daemon = subprocess.Popen(
                [*command, f"--data-root={home}/data", f"--exec-root={home}/exec"],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        environment = {**os.environ, "DOCKER_HOST": socket_url}
        try:
            deadline = time.monotonic() + 60
            while not engine_answers(environment):
                if daemon.poll() is not None or time.monotonic() > deadline:
                    unavailable(f"dockerd does not run here: {log.read_text(errors='replace').splitlines()[-1:]}")
            yield environment
        finally:
            daemon.terminate()
            daemon.wait(60)


def engine_answers(environment: Mapping[str, str]) -> bool:
    ran = subprocess.run(["docker", "version"], env=environment, capture_output=True, timeout=30, check=False)
    return ran.returncode == 0


@pytest.fixture(scope="module")
def images(engine: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in engine.items():
            patch.setenv(name, value)
        try:
            return Stack(StackSettings.load(data_dir=tmp_path_factory.mktemp("stack")), progress=print).images()
        except GoMissingError as error:
            unavailable(str(error))


@pytest.fixture(scope="module")
def compose(engine: dict[str, str], images: tuple[str, ...]) -> Callable[..., str]:
    """Run compose on the local files, on free ports and with short intervals; returns what it printed."""
    assert len(images) == len(SERVERS)
    command = [*compose_command(), "-p", f"spanguard-test-{os.getpid()}", "-f", str(BASE), "-f", str(LOCAL)]
    ports = choose_ports(MANIFEST["ports"], {}, listeners={}, free=True)
    environment = {
        **engine,
        **{f"SPANGUARD_STACK_PORTS__{name.upper()}": str(port) for name, port in ports.items()},
        "SPANGUARD_STACK_METRICS_FLUSH_INTERVAL": "1",
    }

    def run(*arguments: str) -> str:
        ran = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    return run


@pytest.fixture(scope="module")
def inside(compose: Callable[..., str]) -> Iterator[Servers]:
    """The servers in their containers, once each of them is healthy."""
    try:
        try:
            compose("up", "--detach", "--wait", "--wait-timeout=120")
        except AssertionError as error:
            error.add_note(compose("ps", "--all") + compose("logs", "--tail=20"))
            raise
        asked = Servers(endpoints(compose))
        yield asked
        asked.close()
    finally:
        compose("down", "--volumes", "--timeout=10")


def endpoints(compose: Callable[..., str]) -> StackEndpoints:
    def url(service: str, port: int) -> str:
        return f"http://{compose('port', service, str(port)).strip()}"

    return StackEndpoints(
        otlp_http=url("collector", 4318),
        otlp_grpc=url("collector", 4317),
        jaeger=url("jaeger", 16686),
        prometheus=url("prometheus", 9090),
        alertmanager=url("alertmanager", 9093),
        victorialogs=url("victorialogs", 9428),
    )


@pytest.fixture(scope="module")
def trace_id(inside: Servers) -> str:
    """The trace of an application that ran once against the containers."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": inside.endpoints.otlp_http},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert not ran.stderr, ran.stderr
    return ran.stdout.strip()


def test_the_span_reaches_jaeger(inside: Servers, trace_id: str) -> None:
    (span,) = awaited(lambda: inside.trace(trace_id))

    assert (span["name"], span["service"]) == ("fault", "compose-app")


def test_the_metric_reaches_prometheus_with_an_exemplar_of_the_trace(inside: Servers, trace_id: str) -> None:
    series = 'app_fault_duration_seconds_bucket{service_name="compose-app", deployment_environment_name="test"}'

    (exemplar,) = awaited(lambda: inside.exemplars(series))

    assert exemplar["labels"]["trace_id"] == trace_id


def test_the_event_reaches_victorialogs_with_its_trace(inside: Servers, trace_id: str) -> None:
    (record,) = awaited(lambda: inside.logsql(f'event_name:"spanguard.alert" trace_id:"{trace_id}"'))

    assert record["spanguard.alert.name"] == "ComposeFault"


def test_the_alert_fires_in_alertmanager_with_a_link_to_the_trace(inside: Servers, trace_id: str) -> None:
    (alert,) = awaited(lambda: inside.alerts("ComposeFault"))

    port = inside.endpoints.jaeger.rpartition(":")[2]
    assert alert["labels"]["part"] == "compose"
    assert alert["annotations"]["trace_url"] == f"http://localhost:{port}/trace/{trace_id}"


def test_a_rule_of_prometheus_fires_in_alertmanager(inside: Servers) -> None:
    (watchdog,) = awaited(lambda: inside.alerts("Watchdog"), seconds=90)

    assert watchdog["status"]["state"] == "active"


def test_what_a_server_stored_survives_a_new_container(
    compose: Callable[..., str], inside: Servers, trace_id: str
) -> None:
    query = f'trace_id:"{trace_id}"'
    before = awaited(lambda: inside.logsql(query))

    compose("rm", "--stop", "--force", "--volumes", "victorialogs")
    compose("up", "--detach", "--wait", "victorialogs")

    again = Servers(endpoints(compose))
    assert again.logsql(query) == before
    again.close()


def test_a_container_writes_nowhere_but_in_its_volumes(
    engine: dict[str, str], compose: Callable[..., str], inside: Servers
) -> None:
    running = compose("ps", "--quiet").split()
    inspected = subprocess.run(
        ["docker", "inspect", *running], env=engine, capture_output=True, text=True, check=True
    ).stdout

    containers = json.loads(inspected)
    assert len(containers) == len(SERVERS)
    assert all(container["HostConfig"]["ReadonlyRootfs"] for container in containers)
    assert {container["Config"]["User"] for container in containers} == {"65534:65534"}
