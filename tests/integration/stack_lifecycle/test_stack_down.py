"""The end of a run, whatever happened to its processes before."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from integration.stack_lifecycle.runs import GO, MakeStack, alive, pids, servers_under
from spanguard.stack import Stack

pytestmark = GO


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
