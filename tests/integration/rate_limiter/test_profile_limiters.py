"""Limiters of a profile on a real server: shared, changed while they run, and in a forked child."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.redis_server import RedisServer
from spanguard.config_manager import load_profile
from spanguard.guard import Guard, guards
from spanguard.rate_limiter import RateLimiter, RateLimitExceededError, rate_limit_manager


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    guards.reset(forget_guards=True)
    yield
    guards.reset(forget_guards=True)
    rate_limit_manager.reset()


@pytest.fixture
def load(tmp_path: Path, redis_server: RedisServer) -> Callable[[str, str], None]:
    def load(name: str, limits: str) -> None:
        file = tmp_path / "guards.toml"
        file.write_text(
            f'[rate_limiters.{name}]\nlimits = "{limits}"\nstorage = "{redis_server.url}"\nstorage_timeout = 5\n'
        )
        guards.reconfigure(load_profile(file))

    return load


def test_a_shared_limiter_of_the_profile_changes_without_forgiving(
    load: Callable[[str, str], None], redis_server: RedisServer
) -> None:
    load("changed", "3/day; 50/month")
    other = RateLimiter("3/day; 50/month", name="changed", storage=redis_server.url, storage_timeout=5.0)
    guarded = Guard("changed")
    assert other.acquire()
    assert guarded.call(int) == guarded.call(int) == 0
    with pytest.raises(RateLimitExceededError):
        guarded.call(int)
    load("changed", "5/day; 50/month")
    assert guarded.call(int) == guarded.call(int) == 0
    with pytest.raises(RateLimitExceededError):
        guarded.call(int)


async def test_a_guard_awaits_a_shared_limiter_of_the_profile(load: Callable[[str, str], None]) -> None:
    load("awaited", "1/day")

    async def work() -> int:
        return 7

    guarded = Guard("awaited")
    assert await guarded.call_async(work) == 7
    with pytest.raises(RateLimitExceededError):
        await guarded.call_async(work)
    await rate_limit_manager.get_limiter("awaited").aclose()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_works_at_once_shares_what_was_used_and_counts_from_zero(load: Callable[[str, str], None]) -> None:
    load("forked", "3/day")
    limiter = rate_limit_manager.get_limiter("forked")
    assert limiter.acquire()
    with limiter._lock:
        pid = os.fork()
        if not pid:
            try:
                free = limiter._lock.acquire(timeout=0)
                if free:
                    limiter._lock.release()
                fine = free and limiter.acquire().remaining == 1 and limiter.stats().acquired == 1
                os._exit(0 if fine else 1)
            except BaseException:  # noqa: BLE001 - the child must not run on in the test suite
                os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
    assert limiter.acquire().remaining == 0
    assert not limiter.acquire()
    assert limiter.stats().acquired == 2
