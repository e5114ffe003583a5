from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from spanguard.clock import SYSTEM_CLOCK
from spanguard.errors import ResourceUnavailableError
from spanguard.stack.processes import ProcessRecord, end, find, start


@pytest.fixture
def foreign() -> Iterator[ProcessRecord]:
    """A process that ended, but whose parent, another process, takes no note of that."""
    parent = (
        "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', '']).pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        pid = int(running.stdout.readline())
        child = psutil.Process(pid)
        while child.status() != psutil.STATUS_ZOMBIE:
            SYSTEM_CLOCK.sleep(0.01)
        yield ProcessRecord(pid, child.create_time())
        running.terminate()


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[ProcessRecord]:
    record = start(["sleep", "600"], env=dict(os.environ), cwd=tmp_path, log=tmp_path / "log")
    yield record
    end(record, grace=5, clock=SYSTEM_CLOCK)


def test_a_process_that_ended_is_not_found_even_when_its_parent_took_no_note(foreign: ProcessRecord) -> None:
    assert find(foreign) is None


def test_ending_a_process_that_ended_takes_no_time(foreign: ProcessRecord) -> None:
    begun = SYSTEM_CLOCK.monotonic()
    assert end(foreign, grace=30, clock=SYSTEM_CLOCK)
    assert SYSTEM_CLOCK.monotonic() - begun < 5


def test_a_running_process_is_found_by_its_record(sleeper: ProcessRecord) -> None:
    found = find(sleeper)
    assert found is not None
    assert found.pid == sleeper.pid


def test_a_process_that_started_at_another_time_is_not_the_recorded_one(sleeper: ProcessRecord) -> None:
    other = ProcessRecord(sleeper.pid, sleeper.started - 60)

    assert find(other) is None
    assert end(other, grace=1, clock=SYSTEM_CLOCK)
    assert find(sleeper) is not None


def test_a_process_that_got_sigkill_from_elsewhere_is_not_found(sleeper: ProcessRecord) -> None:
    os.kill(sleeper.pid, signal.SIGKILL)
    psutil.Process(sleeper.pid).wait(10)

    assert find(sleeper) is None


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResourceUnavailableError, match=r"/nothing cannot be started: No such file or directory"):
        start([str(tmp_path / "nothing")], env={}, cwd=tmp_path, log=tmp_path / "log")
