"""The stack's life on real processes: a small Go server, built by the real builder, in the place of each big one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from spanguard.errors import ConfigurationError, ResourceUnavailableError
from spanguard.stack import Stack, StackSettings
from spanguard.stack import stack as stack_module
from spanguard.stack.processes import ProcessRecord, start

pytestmark = [pytest.mark.go, pytest.mark.skipif(shutil.which("go") is None, reason="Go is not installed")]

FILES = Path(__file__).parent / "stack_fixture"

MakeStack = Callable[..., Stack]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One build of the small server for all tests."""
    cache = tmp_path_factory.mktemp("cache")
    Stack(StackSettings.load(cache_dir=cache), files=FILES).build()
    return cache


@pytest.fixture
def progress() -> list[str]:
    return []


@pytest.fixture
def make_stack(tmp_path: Path, cache: Path, progress: list[str]) -> Iterator[MakeStack]:
    """Stacks of one data directory; `modes` says which servers are not well."""
    made: list[Stack] = []

    def make(*, modes: dict[str, str] | None = None, data_dir: Path | None = None, **changes: object) -> Stack:
        files = tmp_path / "files"
        shutil.copytree(FILES, files, dirs_exist_ok=True)
        manifest = (FILES / "stack.toml").read_text()
        for server, mode in (modes or {}).items():
            head, table, tail = manifest.partition(f"[servers.{server}]")
            manifest = head + table + tail.replace("-mode=well", f"-mode={mode}", 1)
        (files / "stack.toml").write_text(manifest)
        settings = StackSettings.load(
            **{"data_dir": data_dir or tmp_path / "run", "cache_dir": cache, "free_ports": True, **changes}
        )
        made.append(Stack(settings, files=files, progress=progress.append))
        return made[-1]

    yield make
    for stack in made:
        stack.down()


@pytest.fixture
def stack(make_stack: MakeStack) -> Stack:
    return make_stack()


def pids(stack: Stack) -> list[int]:
    return [server.pid for server in stack.status().servers]


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def servers_under(directory: Path) -> list[psutil.Process]:
    """Every process at work in this directory, however it came there."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(directory) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_up_makes_every_server_answer_at_its_endpoint(stack: Stack) -> None:
    endpoints = stack.up()

    status = stack.status()
    assert [server.name for server in status.servers] == [
        "jaeger",
        "victorialogs",
        "alertmanager",
        "prometheus",
        "collector",
    ]
    assert status.healthy
    assert status.endpoints == endpoints
    for url in (
        endpoints.otlp_http,
        endpoints.jaeger,
        endpoints.prometheus,
        endpoints.alertmanager,
        endpoints.victorialogs,
    ):
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            assert answer.status == 200


def test_each_server_has_a_session_of_its_own_out_of_reach_of_the_terminals_ctrl_c(stack: Stack) -> None:
    stack.up()

    assert [os.getsid(pid) for pid in pids(stack)] == pids(stack)


def test_a_run_renders_the_configuration_with_its_settings(make_stack: MakeStack, tmp_path: Path) -> None:
    make_stack(evaluation_interval=0.5).up()

    assert (tmp_path / "run/prometheus/files/server.yml").read_text() == "interval: 500ms\n"


def test_a_run_gives_a_server_its_environment_with_the_ports_of_the_others(stack: Stack) -> None:
    endpoints = stack.up()

    port = endpoints.otlp_grpc.rpartition(":")[2]
    assert ("collector", f"mode well greeting from {port}") in list(stack.logs("collector"))


def test_a_server_takes_over_no_settings_of_telemetry_and_no_secret(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://of-the-application:4318")
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    monkeypatch.setenv("SPANGUARD_QUEUE_BYTES", "1000000")
    stack.up()

    environment = psutil.Process(pids(stack)[0]).environ()

    assert environment.keys() & {"OTEL_EXPORTER_OTLP_ENDPOINT", "DATABASE_PASSWORD"} == set()
    assert environment["SPANGUARD_QUEUE_BYTES"] == "1000000"


def test_down_leaves_no_process_and_no_state(stack: Stack, tmp_path: Path) -> None:
    stack.up()

    assert stack.down() == ("jaeger", "victorialogs", "alertmanager", "prometheus", "collector")
    assert servers_under(tmp_path) == []
    assert stack.status().servers == ()


def test_the_collector_is_stopped_first_so_that_it_can_hand_over_what_it_has(stack: Stack, progress: list[str]) -> None:
    stack.up()
    progress.clear()
    stack.down()

    assert progress == [
        f"{name}: stopped" for name in ("collector", "prometheus", "alertmanager", "victorialogs", "jaeger")
    ]


def test_down_again_does_nothing(stack: Stack) -> None:
    stack.up()
    stack.down()

    assert stack.down() == ()


def test_up_again_is_refused_and_leaves_the_run_alone(stack: Stack) -> None:
    stack.up()
    before = pids(stack)

    with pytest.raises(ResourceUnavailableError, match=r"is up already.*spanguard stack down"):
        stack.up()

    assert pids(stack) == before
    assert stack.status().healthy


def test_two_runs_stand_side_by_side_on_free_ports(make_stack: MakeStack, tmp_path: Path) -> None:
    first, second = make_stack(), make_stack(data_dir=tmp_path / "second")
    first.up()
    second.up()

    assert first.status().healthy
    assert second.status().healthy


def test_a_server_that_ends_at_once_is_named_with_its_last_words_and_nothing_is_left(
    make_stack: MakeStack, tmp_path: Path
) -> None:
    stack = make_stack(modes={"prometheus": "broken"})

    with pytest.raises(ResourceUnavailableError, match=r"(?s)prometheus ended before.*cannot read the configuration"):
        stack.up()

    assert servers_under(tmp_path) == []
    assert stack.status().servers == ()


def test_a_server_that_does_not_get_healthy_is_named_after_its_deadline_and_nothing_is_left(
    make_stack: MakeStack, tmp_path: Path
) -> None:
    stack = make_stack(modes={"alertmanager": "sick"}, start_timeout=0.5)

    with pytest.raises(
        ResourceUnavailableError, match=r"alertmanager was not healthy within 0.5 s \(setting start_timeout\)"
    ):
        stack.up()

    assert servers_under(tmp_path) == []


def test_a_server_that_ended_is_noticed_even_when_another_program_answers_in_its_place(
    make_stack: MakeStack, tmp_path: Path
) -> None:
    stack = make_stack(modes={"prometheus": "broken", "collector": "late"})
    manifest = tmp_path / "files/stack.toml"
    manifest.write_text(manifest.read_text().replace("{port_prometheus}/health", "{port_jaeger}/health"))

    with pytest.raises(ResourceUnavailableError, match="prometheus ended"):
        Stack(stack._settings, files=stack._files).up()

    assert servers_under(tmp_path) == []


def test_ctrl_c_during_up_stops_what_was_started(make_stack: MakeStack, progress: list[str], tmp_path: Path) -> None:
    stack = make_stack()

    class CtrlC(list[str]):
        def append(self, line: str) -> None:
            if line == "prometheus: starting":
                raise KeyboardInterrupt

    interrupted = Stack(stack._settings, files=stack._files, progress=CtrlC().append)
    with pytest.raises(KeyboardInterrupt):
        interrupted.up()

    assert servers_under(tmp_path) == []
    assert stack.status().servers == ()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_right_after_a_server_was_born_leaves_none(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def start_and_interrupt(*arguments: Any, **options: Any) -> ProcessRecord:
        record = start(*arguments, **options)
        signal.raise_signal(number)
        return record

    def leave(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(stack_module, "start", start_and_interrupt)
    before = signal.signal(signal.SIGTERM, leave)
    try:
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            stack.up()
    finally:
        signal.signal(signal.SIGTERM, before)

    assert servers_under(tmp_path) == []
    assert stack.status().servers == ()


def test_up_in_another_thread_than_the_main_one_works_too(stack: Stack) -> None:
    thread = threading.Thread(target=stack.up)
    thread.start()
    thread.join()

    assert stack.status().healthy


def test_a_progress_callback_that_fails_keeps_no_server_alive(make_stack: MakeStack, tmp_path: Path) -> None:
    stack = make_stack()

    def fail(line: str) -> None:
        if "collector: starting" in line or "stopped" in line:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        Stack(stack._settings, files=stack._files, progress=fail).up()

    assert servers_under(tmp_path) == []


def test_a_data_directory_that_cannot_be_used_is_named_with_what_to_do(make_stack: MakeStack, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    stack = make_stack(data_dir=tmp_path / "file")

    with pytest.raises(ResourceUnavailableError, match=r"the data directory .*/file cannot be used.*--data-dir"):
        stack.up()
    (tmp_path / "file").unlink()


def test_what_is_in_the_way_of_a_server_is_named_and_nothing_is_left(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/prometheus").write_text("")

    with pytest.raises(ResourceUnavailableError, match=r"the data directory .*/run cannot be used: .*/run/prometheus"):
        stack.up()

    assert servers_under(tmp_path) == []


def test_a_server_killed_from_outside_is_seen_in_the_status(stack: Stack) -> None:
    stack.up()
    jaeger = stack.status().servers[0]
    os.kill(jaeger.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while alive(jaeger.pid) and time.monotonic() < deadline:
        threading.Event().wait(0.02)

    status = stack.status()
    assert [(server.name, server.running, server.healthy) for server in status.servers if not server.healthy] == [
        ("jaeger", False, False)
    ]
    assert not status.healthy


def test_down_ends_the_rest_of_a_run_with_a_dead_server(stack: Stack, tmp_path: Path) -> None:
    stack.up()
    os.kill(pids(stack)[0], signal.SIGKILL)

    stack.down()

    assert servers_under(tmp_path) == []


def test_a_server_that_ignores_sigterm_is_killed_after_the_grace(
    make_stack: MakeStack, progress: list[str], tmp_path: Path
) -> None:
    stack = make_stack(modes={"collector": "stubborn"}, stop_grace=0.3)
    stack.up()

    stack.down()

    assert "collector: killed, it did not end in time" in progress
    assert "jaeger: stopped" in progress
    assert servers_under(tmp_path) == []


def test_a_process_that_took_over_a_recorded_id_is_left_alone(stack: Stack, tmp_path: Path) -> None:
    stack.up()
    state = tmp_path / "run/state.json"
    record = json.loads(state.read_text())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as innocent:
        os.kill(record["servers"][0]["process"]["pid"], signal.SIGKILL)
        record["servers"][0]["process"]["pid"] = innocent.pid
        record["servers"][0]["process"]["started"] -= 3600
        state.write_text(json.dumps(record))

        assert not stack.status().servers[0].running
        stack.down()

        assert innocent.poll() is None
        innocent.terminate()


def test_down_ends_what_a_killed_up_had_started(make_stack: MakeStack, tmp_path: Path) -> None:
    stack = make_stack(modes={"jaeger": "sick"})
    settings = stack._settings
    program = (
        "from pathlib import Path\nfrom spanguard.stack import Stack, StackSettings\n"
        f"settings = StackSettings.load(data_dir={str(settings.data_dir)!r}, cache_dir={str(settings.cache_dir)!r}, free_ports=True)\n"
        f"Stack(settings, files=Path({str(stack._files)!r})).up()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as starting:
        deadline = time.monotonic() + 30
        while len(stack.status().servers) < 5 and time.monotonic() < deadline:
            threading.Event().wait(0.02)
        starting.kill()
    assert len(servers_under(tmp_path)) == 5

    stack.down()

    assert servers_under(tmp_path) == []


def test_a_taken_port_is_named_with_its_server_its_setting_and_its_holder_and_nothing_starts(
    make_stack: MakeStack, stack: Stack, tmp_path: Path
) -> None:
    taken = int(stack.up().prometheus.rpartition(":")[2])
    holder = stack.status().servers[3].pid
    other = make_stack(data_dir=tmp_path / "second", ports={"alertmanager": taken})

    with pytest.raises(ResourceUnavailableError) as refusal:
        other.up()

    message = str(refusal.value)
    assert (
        f"port {taken}, on which alertmanager is to listen (setting ports.alertmanager), is taken by server (process {holder})"
        in message
    )
    assert "--port alertmanager=PORT" in message
    assert "SPANGUARD_STACK_PORTS__ALERTMANAGER=PORT" in message
    assert servers_under(tmp_path / "second") == []


def test_a_second_command_on_the_same_directory_is_refused_while_the_first_is_at_work(
    make_stack: MakeStack, stack: Stack
) -> None:
    refusals: list[str] = []

    def try_another(line: str) -> None:
        if line == "prometheus: starting":
            with pytest.raises(ResourceUnavailableError, match="another `spanguard stack` command") as refusal:
                stack.down()
            refusals.append(str(refusal.value))

    Stack(stack._settings, files=stack._files, progress=try_another).up()

    assert len(refusals) == 1
    assert stack.status().healthy


def test_a_state_file_of_something_else_is_refused_in_words(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/state.json").write_text('{"version": 99}')

    with pytest.raises(ConfigurationError, match=r"state\.json is not the state of a stack"):
        stack.status()
    (tmp_path / "run/state.json").unlink()


def test_followed_logs_go_on_with_what_a_server_says(stack: Stack) -> None:
    jaeger = stack.up().jaeger
    followed = stack.logs("jaeger", lines=1, follow=True)
    assert next(followed) == ("jaeger", "mode well greeting hello")

    urllib.request.urlopen(f"{jaeger}/say?line=more", timeout=5).close()

    assert next(followed) == ("jaeger", "more")


def test_the_log_of_the_run_before_is_kept(stack: Stack, tmp_path: Path) -> None:
    urllib.request.urlopen(f"{stack.up().jaeger}/say?line=of+the+first+run", timeout=5).close()
    stack.down()
    stack.up()

    assert "of the first run" not in (tmp_path / "run/logs/jaeger.log").read_text()
    assert "of the first run" in (tmp_path / "run/logs/jaeger.previous.log").read_text()
