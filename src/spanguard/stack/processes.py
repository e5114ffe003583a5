"""Server processes: started in a session of their own, known again by id and start time, ended for certain.

A process id alone is no proof: the system gives it out again. What is recorded is the pair of id and start time, and
nothing is ever signalled whose start time differs.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from spanguard.clock import Clock
from spanguard.errors import ResourceUnavailableError

# Start times come from the boot time, which shifts a little when the wall clock is corrected.
_START_TOLERANCE = 2.0

_POLL_INTERVAL = 0.02

# Children of this very process stay defunct until they are waited for, and only their Popen can do that quietly.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """Which process: its id and when it started, in seconds since the Unix epoch."""

    pid: int
    started: float


def start(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path) -> ProcessRecord:
    """Start a program that outlives this one, with this environment and no more; all that it prints goes to `log`.

    Its session is its own, so that Ctrl-C at the terminal does not reach it.

    Raises:
        ResourceUnavailableError: the program cannot be started, or ended at once.
    """
    with log.open("ab") as output:
        try:
            child = subprocess.Popen(  # noqa: S603 - the program is one that we built, the arguments are ours
                argv,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise ResourceUnavailableError(f"{argv[0]} cannot be started: {error.strerror or error}") from error
    _children[child.pid] = child
    return ProcessRecord(child.pid, psutil.Process(child.pid).create_time())


def find(record: ProcessRecord) -> psutil.Process | None:
    """The recorded process if it still runs; None when it ended or its id now belongs to another."""
    child = _children.get(record.pid)
    if child is not None and child.poll() is not None:
        _children.pop(record.pid, None)
        return None
    try:
        process = psutil.Process(record.pid)
        if abs(process.create_time() - record.started) > _START_TOLERANCE or process.status() == psutil.STATUS_ZOMBIE:
            return None
    except psutil.NoSuchProcess:
        return None
    return process


def end(record: ProcessRecord, *, grace: float, clock: Clock) -> bool:
    """End the recorded process: SIGTERM, and SIGKILL when it still runs after `grace` seconds.

    Returns:
        Whether it ended by itself; True also when it had ended before.
    """
    _send(psutil.Process.terminate, record)
    if _ended(record, within=grace, clock=clock):
        return True
    _send(psutil.Process.kill, record)
    _ended(record, within=grace, clock=clock)
    return False


def _send(signal: Callable[[psutil.Process], None], record: ProcessRecord) -> None:
    process = find(record)
    if process is not None:
        with suppress(psutil.NoSuchProcess):
            signal(process)


def _ended(record: ProcessRecord, *, within: float, clock: Clock) -> bool:
    # Not psutil's wait: for it a process goes on until its parent took note, which init does late or, in containers, never.
    deadline = clock.monotonic() + within
    while find(record) is not None:
        if clock.monotonic() >= deadline:
            return False
        clock.sleep(_POLL_INTERVAL)
    return True
