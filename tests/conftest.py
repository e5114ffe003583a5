"""Fixtures that every kind of test may ask for."""

from __future__ import annotations

import faulthandler
import os
import select
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator

import coverage
import pytest
from opentelemetry import trace

from spanguard.testing import FakeClock, OtlpReceiver, Signals, capture


@pytest.hookimpl(trylast=True)
def pytest_sessionstart() -> None:
    """Let a fork wait for the lock that coverage takes in each thread: a child that got it locked would hang."""
    measured = coverage.Coverage.current()
    if measured is not None and measured._collector is not None:
        # Re-entrant, as the thread that forks is measured too.
        lock = measured._collector.data_lock = threading.RLock()
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)


@pytest.fixture
def signals() -> Iterator[Signals]:
    """The telemetry that the test emits, caught in this process."""
    with capture() as captured:
        yield captured


@pytest.fixture
def nothing_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """No tracer provider, as before the first capture of this process: guards take their quick way."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that moves only when the test says so."""
    return FakeClock()


@pytest.fixture
def otlp_receiver() -> Iterator[OtlpReceiver]:
    """An OTLP endpoint on loopback, for programs that run as their own process."""
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture
def in_child() -> Callable[[Callable[[], object]], str]:
    """Fork, call a function in the child, and return the repr of its result; a child that hangs says where, and is ended."""

    def fork(function: Callable[[], object]) -> str:
        read, write = os.pipe()
        with tempfile.TemporaryFile() as told:
            faulthandler.register(signal.SIGUSR1, file=told)
            pid = os.fork()
            if pid == 0:
                try:
                    os.write(write, repr(function()).encode())
                finally:
                    os._exit(0)
            os.close(write)
            try:
                if not select.select([read], [], [], 20)[0]:
                    os.kill(pid, signal.SIGUSR1)
                    select.select([read], [], [], 1)
                    os.kill(pid, signal.SIGKILL)
                    told.seek(0)
                    pytest.fail(f"the child hangs. {told.read().decode()}")
                return os.read(read, 10_000).decode()
            finally:
                os.close(read)
                os.waitpid(pid, 0)
                faulthandler.unregister(signal.SIGUSR1)

    return fork
