"""Real Redis servers for tests: alone, watched by a sentinel, or as a cluster."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import redis

from certificates import certificate_for

PROGRAM = os.environ.get("REDIS_SERVER", "redis-server")
"""What is started; a valkey-server will do as well."""
HIGHEST = 55_000

T = TypeVar("T")


class RedisServer:
    """One server on a free port of loopback, which a test may kill, pause and start again. It keeps nothing on disk.

    Args:
        folder: where it works and writes its log.
        options: what its command line begins with.
        port: where it listens, if not on a free port.
        password: what its clients say.
    """

    def __init__(self, folder: Path, *options: str, port: int | None = None, password: str | None = None) -> None:
        self._password = password
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self._log = folder / f"redis-{self.port}.log"
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
        with self._log.open("ab") as log:
            command = [PROGRAM, *self._options, *settings, "--save", ""]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        awaited(self._answers)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"{PROGRAM} ended: {self._log.read_text()[-500:]}"
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
        """Let it go on; also from a forked child, whose process it is not."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGCONT)


class TlsRedis(NamedTuple):
    """A server that speaks TLS as well, and what its clients trust."""

    url: str
    certificate: Path


@contextmanager
def tls_redis(folder: Path) -> Iterator[TlsRedis]:
    """Run a server whose second port speaks TLS, for the host `localhost`."""
    certificate, port = certificate_for("localhost", folder), free_port()
    keys = ("--tls-cert-file", str(certificate.path), "--tls-key-file", str(certificate.key))
    with RedisServer(folder, "--tls-port", str(port), *keys, "--tls-auth-clients", "no"):
        yield TlsRedis(f"rediss://localhost:{port}/0", certificate.path)


def free_port() -> int:
    """A port that nobody uses; a cluster's node needs the one 10000 above it too."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port <= HIGHEST:
            return port


def awaited(condition: Callable[[], T], seconds: float = 20.0) -> T:
    """Return the first result of the condition that is true."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.002)
    return result
