"""A Redis server of its own for each module or test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.redis_server import RedisServer


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that the tests of a module share; they use keys of their own."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that the test may kill, pause and restart."""
    with RedisServer(tmp_path) as running:
        yield running
