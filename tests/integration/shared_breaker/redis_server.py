"""Real Redis servers for tests: alone, watched by a sentinel, or as a cluster."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import redis

PROGRAM = os.environ.get("REDIS_SERVER", "redis-server")
"""What is started; a valkey-server will do as well."""

T = TypeVar("T")


class RedisServer:
    """One server on a free port of loopback, which a test may kill, pause and start again. It keeps nothing on disk."""

    def __init__(self, folder: Path, *options: str, port: int | None = None, password: str | None = None) -> None:
        self._password = password
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.resume()
        self.kill()

    def start(self) -> None:
        """Start, and wait until it answers."""
        settings = f"--port {self.port} --bind 127.0.0.1 --appendonly no --dir {self._folder}".split()
        self._process = subprocess.Popen([PROGRAM, *self._options, *settings, "--save", ""], stdout=subprocess.DEVNULL)
        awaited(self._answers)

    def _answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

    def client(self) -> redis.Redis:
        """A client of the test's own."""
        return redis.Redis(port=self.port, password=self._password, decode_responses=True)

    def command(self, *words: str) -> Any:
        """Run one command."""
        with self.client() as client:
            return client.execute_command(*words)

    def commands(self, name: str) -> int:
        """How often a command was run."""
        with self.client() as client:
            return int(client.info("commandstats").get(f"cmdstat_{name}", {}).get("calls", 0))

    def kill(self) -> None:
        """End it at once, with every connection."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Let it hang: connections stay open, and nobody answers."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)


def free_port() -> int:
    """A port that nobody uses; a cluster needs the one 10000 above it too."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port if port < 50_000 else port - 20_000


def awaited(condition: Callable[[], T], seconds: float = 20.0) -> T:
    """Return the first result of the condition that is true."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.002)
    return result
