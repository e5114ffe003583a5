"""The kinds of limiters, and several limits at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from limits import parse, parse_many

from spanguard.errors import ConfigurationError
from spanguard.rate_limiter import LeakyBucketLimiter, RateLimiter, RateLimitStatus, SlidingWindowLimiter
from spanguard.rate_limiter.limiter import LONGEST_KEY
from spanguard.rate_limiter.rules import STRATEGIES, Strategy
from spanguard.testing import FakeClock
from unit.rate_limiter.callers import drain, until_done, until_waiting

# --- leaky bucket --------------------------------------------------------------------------------------------------


@pytest.fixture
def queue(clock: FakeClock) -> LeakyBucketLimiter:
    """Two a second, evenly; three may be in the bucket."""
    return LeakyBucketLimiter(2, 3, name="queue", clock=clock)


async def test_a_leaky_bucket_lets_requests_out_evenly(queue: LeakyBucketLimiter, clock: FakeClock) -> None:
    order: list[int] = []

    async def go(number: int) -> None:
        await queue.acquire_async(wait=True)
        order.append(number)

    tasks = [asyncio.create_task(go(number)) for number in range(3)]
    await until_waiting(queue, 2)
    assert order == [0]
    for served in (2, 3):
        clock.advance(0.25)
        await asyncio.sleep(0)
        assert len(order) == served - 1
        clock.advance(0.25)
        await until_done(tasks, served)
        assert order == list(range(served))


def test_a_leaky_bucket_without_a_wait_lets_nobody_through_before_its_turn(
    queue: LeakyBucketLimiter, clock: FakeClock
) -> None:
    assert queue.acquire(2)
    assert queue.acquire() == RateLimitStatus(False, 1, 1.0, 1.0, 3)
    clock.advance(0.5)
    assert queue.acquire() == RateLimitStatus(False, 2, 0.5, 0.5, 3)
    clock.advance(0.5)
    assert queue.acquire()


async def test_a_full_leaky_bucket_turns_away_at_once(queue: LeakyBucketLimiter, clock: FakeClock) -> None:
    tasks = [asyncio.create_task(queue.acquire_async(wait=True)) for _ in range(3)]
    await until_waiting(queue, 2)
    refused = await queue.acquire_async(wait=True)
    assert (refused.allowed, refused.retry_after) == (False, 1.5)
    assert (queue.stats().rejected, queue.stats().line_full) == (1, 1)
    clock.advance(0.5)
    await until_done(tasks, 2)
    await until_waiting(queue, 1)
    last = asyncio.create_task(queue.acquire_async(wait=True))
    await until_waiting(queue, 2)
    clock.advance(1.0)
    await until_done([*tasks, last], 4)


async def test_those_behind_a_cancelled_request_in_a_leaky_bucket_move_up(
    queue: LeakyBucketLimiter, clock: FakeClock
) -> None:
    tasks = [asyncio.create_task(queue.acquire_async(wait=True)) for _ in range(3)]
    await until_waiting(queue, 2)
    tasks[1].cancel()
    await until_waiting(queue, 1)
    clock.advance(0.5)
    await until_done(tasks, 3)
    assert tasks[2].result().allowed


def test_a_leaky_bucket_as_a_meter_lets_through_what_fits(clock: FakeClock) -> None:
    meter = LeakyBucketLimiter(2, 3, as_queue=False, name="meter", clock=clock)
    assert [meter.acquire().allowed for _ in range(4)] == [True, True, True, False]
    assert meter.acquire().retry_after == 0.5


# --- sliding window ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exact", [True, False])
def test_a_sliding_window_admits_its_limit_in_any_window(clock: FakeClock, exact: bool) -> None:
    limiter = SlidingWindowLimiter(3, 10, exact=exact, name="window", clock=clock)
    admitted: list[float] = []
    for _ in range(200):
        if limiter.acquire():
            admitted.append(clock.monotonic())
        clock.advance(0.25)
    assert len(admitted) >= 9
    if exact:
        assert all(sum(start <= moment < start + 10 for moment in admitted) <= 3 for start in admitted)


async def test_waiters_of_a_sliding_window_are_served_when_entries_go(clock: FakeClock) -> None:
    limiter = SlidingWindowLimiter(2, 10, name="window", clock=clock)
    limiter.acquire()
    clock.advance(4)
    limiter.acquire()
    tasks = []
    for number in range(3):
        tasks.append(asyncio.create_task(limiter.acquire_async(wait=True)))
        await until_waiting(limiter, number + 1)
    for served, seconds in enumerate((6, 4, 6), start=1):
        clock.advance(seconds - 0.25)
        await asyncio.sleep(0)
        assert sum(task.done() for task in tasks) == served - 1
        clock.advance(0.25)
        await until_done(tasks, served)


async def test_a_wait_cancelled_after_it_was_served_leaves_the_window_as_it_was(clock: FakeClock) -> None:
    limiter = SlidingWindowLimiter(1, 10, name="window", clock=clock)
    limiter.acquire()
    task = asyncio.create_task(limiter.acquire_async(wait=True))
    await until_waiting(limiter, 1)
    clock.advance(10)
    assert not limiter.acquire()  # serves the line; the task has its permit now but has not run yet
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert limiter.acquire()
    assert not limiter.acquire()


# --- several limits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", [strategy for strategy in STRATEGIES if strategy != "leaky_bucket_queue"])
def test_of_several_limits_all_admit_or_none_is_charged(clock: FakeClock, strategy: Strategy) -> None:
    clock.advance(80)  # to the start of a whole hour, as the estimate cuts time
    limiter = RateLimiter("2/second; 3/hour", strategy=strategy, name="both", clock=clock)
    assert [limiter.acquire().allowed for _ in range(3)] == [True, True, False]
    clock.advance(2)
    assert [limiter.acquire().allowed for _ in range(2)] == [True, False]
    refused = limiter.acquire()
    assert (refused.limit, refused.remaining) == (3, 0)
    assert refused.retry_after > 60
    clock.advance(refused.retry_after)
    # Had the refused requests been charged to the limit of a second, or to that of the hour, this one would be refused.
    assert limiter.acquire()


async def test_a_wait_under_several_limits_lasts_until_all_admit(clock: FakeClock) -> None:
    limiter = RateLimiter("2/second; 3/minute", name="both", clock=clock)
    limiter.acquire(2)
    first = asyncio.create_task(limiter.acquire_async(wait=True))
    await until_waiting(limiter, 1)
    second = asyncio.create_task(limiter.acquire_async(wait=True))
    await until_waiting(limiter, 2)
    clock.advance(0.5)
    await until_done([first], 1)
    clock.advance(19.25)
    await asyncio.sleep(0)
    assert not second.done()
    clock.advance(0.25)
    await until_done([second], 1)


def test_more_than_the_smallest_limit_is_an_error_at_once(clock: FakeClock) -> None:
    limiter = RateLimiter("2/second; 3/hour", name="both", clock=clock)
    with pytest.raises(ConfigurationError, match="from 1 to 2 at once"):
        limiter.acquire(3, wait=True)


# --- by name -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", ["3/minute", parse("3/minute"), [parse("3/minute")], parse_many("3 per minute")])
def test_limits_are_told_in_the_notation_of_the_limits_library(clock: FakeClock, limits: Any) -> None:
    limiter = RateLimiter(limits, name="notation", clock=clock)
    drain(limiter)
    assert (limiter.stats().acquired, limiter.acquire().retry_after) == (3, 20.0)


@pytest.mark.parametrize("limits", ["", "nonsense", "3/fortnight", [], ["3/minute"], [None]])
def test_limits_that_do_not_parse_are_refused(limits: Any) -> None:
    with pytest.raises(ConfigurationError, match="limiter 'bad': limits are"):
        RateLimiter(limits, name="bad")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_limit_of_nothing_is_refused_rather_than_admitting_all(strategy: Strategy) -> None:
    with pytest.raises(ConfigurationError, match="limit is 0"):
        RateLimiter("0/minute", strategy=strategy, name="bad")


def test_an_unknown_strategy_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(ConfigurationError, match="'token_bucket', 'leaky_bucket'"):
        RateLimiter("1/second", strategy="magic", name="bad")  # type: ignore[arg-type]


def test_a_leaky_bucket_as_a_queue_has_one_pace() -> None:
    with pytest.raises(ConfigurationError, match="has one pace"):
        RateLimiter("1/second; 2/hour", strategy="leaky_bucket_queue", name="bad")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: RateLimiter("5000000000/second", name="bad"),
            r"rate is 5e\+09 tokens a second.*\n.*burst is 5000000000",
        ),
        (lambda: RateLimiter("1/1000 years", name="bad"), "more than 100 years to fill"),
        (lambda: LeakyBucketLimiter(0, 1, name="bad"), "rate is 0"),
        (lambda: LeakyBucketLimiter(1, 0, name="bad"), "capacity is 0"),
        (lambda: SlidingWindowLimiter(0, 1, name="bad"), "limit is 0"),
        (lambda: SlidingWindowLimiter(1, float("nan"), name="bad"), "window is nan"),
        (lambda: SlidingWindowLimiter(1, -1, name="bad"), "window is -1"),
        (lambda: SlidingWindowLimiter(1, float("inf"), name="bad"), "window is inf"),
        (lambda: SlidingWindowLimiter(1, 1e300, name="bad"), r"window is 1e\+300"),
        (lambda: SlidingWindowLimiter(1, 1, name=""), "name is ''"),
        (lambda: RateLimiter("1/second", name="bad", max_waiters=-1), "max_waiters is -1"),
        (lambda: RateLimiter("1/second", name="bad", max_waiters=1.5), "max_waiters is 1.5"),  # type: ignore[arg-type]
    ],
)
def test_a_setting_out_of_range_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()


@pytest.mark.parametrize(
    "limiter",
    [
        LeakyBucketLimiter(2, 3, name="a"),
        LeakyBucketLimiter(2, 3, as_queue=False, name="b"),
        SlidingWindowLimiter(5, 1.5, name="c"),
        SlidingWindowLimiter(5, 1.5, exact=False, name="d"),
    ],
)
def test_a_limiter_shows_how_it_was_made(limiter: RateLimiter) -> None:
    names = {kind.__name__: kind for kind in (LeakyBucketLimiter, SlidingWindowLimiter)}
    again = eval(repr(limiter), names)
    assert (again.rules, again.name) == (limiter.rules, limiter.name)


# --- asking --------------------------------------------------------------------------------------------------------


def test_try_acquire_tells_only_whether(limiter: RateLimiter) -> None:
    assert [limiter.try_acquire(2), limiter.try_acquire(2)] == [True, False]


def test_peek_says_what_acquire_would_and_takes_nothing(limiter: RateLimiter) -> None:
    limiter.acquire(2)
    assert limiter.peek(2) == RateLimitStatus(False, 1, 0.5, 1.0, 3)
    assert [limiter.peek().allowed for _ in range(3)] == [True] * 3
    assert limiter.acquire()
    assert (limiter.stats().acquired, limiter.stats().rejected) == (2, 0)


async def test_peek_counts_those_who_wait(limiter: RateLimiter, clock: FakeClock) -> None:
    drain(limiter)
    task = asyncio.create_task(limiter.acquire_async(2, wait=True))
    await until_waiting(limiter, 1)
    assert limiter.peek() == RateLimitStatus(False, 0, 1.5, 1.5, 3)
    clock.advance(1)
    await task


def test_reset_forgets_what_one_key_used(limiter: RateLimiter) -> None:
    drain(limiter, "anna")
    drain(limiter, "ben")
    limiter.reset(key="anna")
    assert [limiter.acquire(3, key="anna").allowed, limiter.acquire(key="ben").allowed] == [True, False]


async def test_reset_serves_those_who_wait(limiter: RateLimiter) -> None:
    drain(limiter)
    tasks = []
    for number in range(2):
        tasks.append(asyncio.create_task(limiter.acquire_async(2, wait=True)))
        await until_waiting(limiter, number + 1)
    limiter.reset()
    await until_done(tasks, 1)
    assert tasks[0].done()
    tasks[1].cancel()


async def test_what_a_reset_gives_is_given_as_of_the_reset(limiter: RateLimiter, clock: FakeClock) -> None:
    drain(limiter)
    task = asyncio.create_task(limiter.acquire_async(3, wait=True))
    await until_waiting(limiter, 1)
    clock.advance(1)
    limiter.reset()
    await until_done([task], 1)
    assert limiter.acquire() == RateLimitStatus(False, 0, 0.5, 1.5, 3)


def test_a_long_key_is_kept_as_its_hash(limiter: RateLimiter) -> None:
    anna, ben = "a" * 1_000_000, "a" * 999_999 + "b"
    drain(limiter, anna)
    assert (limiter.acquire(key=anna).allowed, limiter.acquire(key=ben).allowed) == (False, True)
    assert max(map(len, vars(limiter._desk)["engine"].keys())) <= LONGEST_KEY


def test_a_key_that_is_no_utf8_is_a_key(limiter: RateLimiter) -> None:
    assert limiter.acquire(3, key="\udcff" * 1000)
    assert not limiter.acquire(key="\udcff" * 1000)


@pytest.mark.parametrize("key", [b"anna", 7, None])
def test_a_key_that_is_no_text_is_refused(limiter: RateLimiter, key: Any) -> None:
    with pytest.raises(ConfigurationError, match="the key is a"):
        limiter.acquire(key=key)
