"""How many commands calls through a closed breaker on Redis cost, by the server's own count."""

from __future__ import annotations

import atexit
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

import pybreaker
import redis
from common import Figure, Timer

from spanguard.error_handling import CircuitBreaker, RedisBreakerStorage

CALLS = 1000

# What the background thread asks every 0.3 to 0.5 s, whether or not there are calls.
NOT_BY_CALLS = {"hget"}


def nothing() -> None:
    """What is guarded."""


def start_server() -> Any:
    """Start a server that ends with this process, and return a client of it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tempfile.mkdtemp()
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", folder]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    atexit.register(server.kill)
    client = redis.Redis(port=port)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            client.ping()
        except redis.ConnectionError:
            threading.Event().wait(0.01)
        else:
            return client
    raise SystemExit("redis-server does not start")


def commands(client: Any) -> int:
    """Return how many commands the server has run, this question not yet among them."""
    counted = client.info("commandstats")
    return sum(stats["calls"] for name, stats in counted.items() if name.removeprefix("cmdstat_") not in NOT_BY_CALLS)


def counting(client: Any, call: Callable[[], object]) -> Timer:
    """Return what counts the commands of the calls, and the question after the count."""

    def run(loops: int) -> float:
        before = commands(client)
        for _ in range(loops * CALLS):
            call()
        return float(commands(client) - before)

    return run


def ours() -> Timer:
    client = start_server()
    port = client.connection_pool.connection_kwargs["port"]
    breaker = CircuitBreaker(name="bench", state_storage=RedisBreakerStorage(f"redis://127.0.0.1:{port}", "bench"))
    while not client.info("commandstats").get("cmdstat_hget"):
        threading.Event().wait(0.01)
    return counting(client, lambda: breaker.call(nothing))


def theirs() -> Timer:
    client = start_server()
    storage = pybreaker.CircuitRedisStorage("closed", client)
    breaker = pybreaker.CircuitBreaker(name="bench", state_storage=storage)
    return counting(client, lambda: breaker.call(nothing))


FIGURES = [
    Figure(
        "shared-breaker",
        "breaker on Redis, commands of 1000 closed successes and of the one that counts them",
        0.001,
        ours,
        theirs,
        "pybreaker with CircuitRedisStorage",
        counts="commands",
    ),
]
