"""A server, and the breakers and processes that share their state through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from integration.redis_server import RedisServer
from integration.shared_breaker.worker import Worker
from spanguard.error_handling import CircuitBreaker, RedisBreakerStorage


@pytest.fixture(scope="module")
def lasting_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server for tests that leave it as it is."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that the test may kill."""
    with RedisServer(tmp_path) as running:
        yield running


@pytest.fixture
def name() -> str:
    """The name of a breaker that no other test uses."""
    return f"api {uuid4().hex[:8]}"


Build = Callable[..., CircuitBreaker]


PATIENCE = 5.0
"""Seconds: on a busy machine a server that is well may take longer than the default allows."""


@pytest.fixture
def build(name: str, lasting_server: RedisServer) -> Build:
    """Return a breaker on the server; each call returns another one, with the same name."""

    def breaker(server: RedisServer, **settings: Any) -> CircuitBreaker:
        timeout = settings.pop("timeout", PATIENCE if server is lasting_server else 0.1)
        storage = RedisBreakerStorage(server.url, name, timeout=timeout)
        return CircuitBreaker(**{"name": name, "fail_max": 2, "reset_timeout": 60, **settings}, state_storage=storage)

    return breaker


@pytest.fixture
def workers(name: str) -> Iterator[Callable[..., list[Worker]]]:
    """Return processes that share a breaker."""
    started: list[Worker] = []

    def start(number: int, url: str, **settings: Any) -> list[Worker]:
        fresh = [Worker(url, name, **{"fail_max": 2, "timeout": PATIENCE, **settings}) for _ in range(number)]
        started.extend(fresh)
        return fresh

    yield start
    for worker in started:
        worker.kill()
