"""A redis-server of the test's own, that can be killed, paused and started again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import redis


class RedisServer:
    """One redis-server on a free port of loopback, with nothing on disk.

    Args:
        folder: where it may write its log.
        options: for its command line.
        port: where it shall listen, if not on a free port.
        first: what its command line begins with.

    Attributes:
        port: where it listens, also after a restart.
        url: the same for redis-py and `limits`.
    """

    def __init__(
        self, folder: Path, *options: str, port: int | None = None, first: Sequence[str] = ("--save", "")
    ) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is not installed (apt install redis-server): limits on Redis are left out")
        self._program = program
        self._folder = folder
        self._first = first
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port() if port is None else port
        self.url = f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        command = [self._program, *self._first, "--port", str(self.port), "--bind", "127.0.0.1"]
        with (self._folder / f"redis-{self.port}.log").open("ab") as log:
            self._process = subprocess.Popen([*command, *self._options], cwd=self._folder, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        with contextlib.closing(self.client()) as client:
            while time.monotonic() < deadline:
                with contextlib.suppress(redis.RedisError):
                    if client.ping():
                        return
                if self._process.poll() is not None:
                    break
        pytest.fail(f"redis-server did not start: {(self._folder / f'redis-{self.port}.log').read_text()[-500:]}")

    def client(self) -> redis.Redis:
        """Return a plain client of its own."""
        return redis.Redis(port=self.port, decode_responses=True)

    def kill(self) -> None:
        """End it at once; what it knew is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(20)
            self._process = None

    def pause(self) -> None:
        """Let it take connections and commands, and answer none."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on; also from a forked child, whose process it is not."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(holds: Callable[[], object], seconds: float = 20) -> None:
    """Wait until something holds; fail if it does not come to that."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail("it did not come to that in time")
        threading.Event().wait(0.005)
