"""Other numbers while requests come in: what was used stays used, and the line keeps its order."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanguard.errors import ConfigurationError
from spanguard.rate_limiter import RateLimitManager, TokenBucketLimiter
from spanguard.testing import FakeClock
from unit.rate_limiter.callers import drain, until_done, until_waiting, wait_in_thread


def test_what_was_used_is_not_forgiven(limiter: TokenBucketLimiter) -> None:
    drain(limiter)
    limiter.reconfigure(4, 5)
    assert [bool(limiter.acquire()) for _ in range(3)] == [True, True, False]
    assert (limiter.rate, limiter.burst) == (4, 5)


def test_a_smaller_burst_is_owed_what_is_beyond_it(limiter: TokenBucketLimiter) -> None:
    drain(limiter)
    limiter.reconfigure(2, 1)
    status = limiter.acquire()
    assert (status.allowed, status.retry_after, status.limit) == (False, 1.5, 1)


def test_another_rate_earns_from_now_on(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    clock.advance(0.25)
    limiter.reconfigure(1, 3)
    assert limiter.acquire().retry_after == 0.5


def test_each_key_keeps_what_it_has_used(limiter: TokenBucketLimiter) -> None:
    drain(limiter, key="anna")
    limiter.reconfigure(2, 4)
    assert [limiter.acquire(key=key).remaining for key in ("anna", "ben")] == [0, 3]


async def test_who_waits_keeps_the_place_and_is_served_at_the_new_rate(
    limiter: TokenBucketLimiter, clock: FakeClock
) -> None:
    drain(limiter)
    order: list[int] = []

    async def wait(number: int) -> None:
        await limiter.acquire_async(wait=True)
        order.append(number)

    tasks = []
    for number in range(3):
        tasks.append(asyncio.create_task(wait(number)))
        await until_waiting(limiter, number + 1)
    limiter.reconfigure(16, 3)
    for served in (1, 2, 3):
        await until_waiting(limiter, 4 - served)
        clock.advance(1 / 16)
        await until_done(tasks, served)
        assert order == list(range(served))


async def test_who_waits_for_more_than_there_will_ever_be_is_turned_away(
    limiter: TokenBucketLimiter, clock: FakeClock
) -> None:
    drain(limiter)
    task = asyncio.create_task(limiter.acquire_async(3, wait=True))
    await until_waiting(limiter, 1)
    limiter.reconfigure(burst=2)
    status = await task
    assert (status.allowed, status.retry_after) == (False, math.inf)
    assert limiter.stats().rejected == 2


def test_a_thread_that_waits_is_served_when_its_turn_comes_later(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    done: list[str] = []
    thread = wait_in_thread(limiter, done, "first")
    clock.wait_for_sleepers()
    limiter.reconfigure(1, 3)
    clock.advance(0.5)
    clock.wait_for_sleepers()
    assert done == []
    clock.advance(0.5)
    thread.join(10)
    assert done == ["first"]


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (float("nan"), 1), (1, 0)])
def test_numbers_out_of_range_change_nothing(limiter: TokenBucketLimiter, rate: float, burst: int) -> None:
    with pytest.raises(ConfigurationError):
        limiter.reconfigure(rate, burst)
    assert (limiter.rate, limiter.burst) == (2, 3)


numbers = st.tuples(st.sampled_from([0.1, 1, 3, 7.5, 1000]), st.integers(1, 20))


@given(first=numbers, steps=st.lists(st.tuples(st.integers(0, 30), numbers), max_size=8))
@settings(deadline=None)
def test_at_one_moment_no_change_lets_more_through_than_the_greatest_burst(
    first: tuple[float, int], steps: list[tuple[int, tuple[float, int]]]
) -> None:
    limiter = TokenBucketLimiter(*first, name="model", clock=FakeClock())
    admitted, greatest = 0, first[1]
    for requests, (rate, burst) in steps:
        admitted += sum(bool(limiter.acquire()) for _ in range(requests))
        assert admitted <= greatest
        limiter.reconfigure(rate, burst)
        greatest = max(greatest, burst)
        status = limiter.acquire()
        admitted += status.allowed
        assert status.remaining == max(0, burst - admitted)


def test_a_limiter_that_is_removed_is_known_no_more() -> None:
    manager = RateLimitManager()
    manager.configure("a", 1, 1)
    manager.remove("a")
    manager.remove("a")
    assert manager.all() == {}
