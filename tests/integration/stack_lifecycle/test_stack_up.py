"""A run on real processes: what it makes of its settings, and what it says."""

from __future__ import annotations

import os
import threading
import urllib.request
from pathlib import Path

import psutil
import pytest

from integration.stack_lifecycle.runs import GO, MakeStack, pids
from spanguard.errors import ConfigurationError, ResourceUnavailableError
from spanguard.stack import Stack

pytestmark = GO


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


def test_up_in_another_thread_than_the_main_one_works_too(stack: Stack) -> None:
    thread = threading.Thread(target=stack.up)
    thread.start()
    thread.join()

    assert stack.status().healthy


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
