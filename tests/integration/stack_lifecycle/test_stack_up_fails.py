"""A run that cannot start: what is in the way is named, and no process is left."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from integration.stack_lifecycle.runs import GO, MakeStack, servers_under
from spanguard.errors import ResourceUnavailableError
from spanguard.stack import Stack
from spanguard.stack import stack as stack_module
from spanguard.stack.processes import ProcessRecord, start

pytestmark = GO


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
