"""The line: its bounds, threads in it, what it tells of waits, and a change of numbers while somebody waits."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import asdict

import pytest

from spanguard import semconv
from spanguard.errors import ConfigurationError
from spanguard.rate_limiter import RateLimiter, SlidingWindowLimiter, TokenBucketLimiter
from spanguard.rate_limiter.wait_times import WaitTimes
from spanguard.testing import FakeClock, Signals
from unit.rate_limiter.callers import drain, until_done, until_waiting, wait_in_thread

# --- bounds --------------------------------------------------------------------------------------------------------


async def test_a_full_line_turns_away_at_once(clock: FakeClock, signals: Signals) -> None:
    limiter = TokenBucketLimiter(2, 3, name="bounded", max_waiters=2, clock=clock)
    tasks = []
    for number, key in enumerate(("anna", "ben")):
        limiter.acquire(3, key=key)
        tasks.append(asyncio.create_task(limiter.acquire_async(wait=True, key=key)))
        await until_waiting(limiter, number + 1)
    refused = await limiter.acquire_async(wait=True, key="anna")
    assert (refused.allowed, refused.retry_after) == (False, 1.0)
    stats = limiter.stats()
    assert (stats.line_full, stats.rejected, stats.timed_out, stats.waiting) == (1, 1, 0, 2)
    (event,) = signals.events(semconv.LIMITER_REJECTED_EVENT.name)
    assert event.attributes[semconv.LIMITER_REASON.key] == "line_full"
    clock.advance(0.5)
    await until_done(tasks, 2)


async def test_who_leaves_the_line_makes_room_for_another(clock: FakeClock) -> None:
    limiter = TokenBucketLimiter(2, 3, name="bounded", max_waiters=1, clock=clock)
    drain(limiter)
    first = asyncio.create_task(limiter.acquire_async(wait=True))
    await until_waiting(limiter, 1)
    first.cancel()
    await until_waiting(limiter, 0)
    second = asyncio.create_task(limiter.acquire_async(wait=True))
    await until_waiting(limiter, 1)
    clock.advance(0.5)
    assert (await second).allowed


def test_without_places_nobody_waits(clock: FakeClock) -> None:
    limiter = TokenBucketLimiter(2, 3, name="no places", max_waiters=0, clock=clock)
    drain(limiter)
    assert not limiter.acquire(wait=True)


# --- threads -------------------------------------------------------------------------------------------------------


async def test_a_thread_behind_a_cancelled_wait_moves_up(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    task = asyncio.create_task(limiter.acquire_async(3, wait=True))
    await until_waiting(limiter, 1)
    done: list[str] = []
    thread = wait_in_thread(limiter, done, "thread")
    await asyncio.to_thread(clock.wait_for_sleepers, 2)
    task.cancel()
    await until_waiting(limiter, 1)
    clock.advance(0.5)
    await asyncio.to_thread(thread.join, 10)
    assert done == ["thread"]


async def test_those_behind_a_wait_that_was_cancelled_while_the_lock_was_held_move_up(
    limiter: TokenBucketLimiter, clock: FakeClock
) -> None:
    drain(limiter)
    task = asyncio.create_task(limiter.acquire_async(3, wait=True))
    await until_waiting(limiter, 1)
    done: list[str] = []
    thread = wait_in_thread(limiter, done, "thread")
    await asyncio.to_thread(clock.wait_for_sleepers, 2)
    with limiter._desk._present():
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    clock.advance(0.5)
    await asyncio.to_thread(thread.join, 10)
    assert done == ["thread"]


def test_threads_that_are_interrupted_leave_the_line(limiter: TokenBucketLimiter) -> None:
    class Interrupted(FakeClock):
        def wait(self, event: threading.Event, seconds: float | None, /) -> None:
            raise KeyboardInterrupt

    clock = Interrupted()
    limiter = TokenBucketLimiter(2, 3, name="interrupted", clock=clock)
    drain(limiter)
    with pytest.raises(KeyboardInterrupt):
        limiter.acquire(2, wait=True)
    clock.advance(0.5)
    assert limiter.acquire()
    assert (limiter.stats().cancelled, limiter.stats().waiting) == (1, 0)


def test_threads_are_served_in_the_order_in_which_they_came(clock: FakeClock) -> None:
    limiter = TokenBucketLimiter(1, 1, name="threads", clock=clock)
    drain(limiter)
    done: list[str] = []
    threads = []
    for number in range(5):
        threads.append(wait_in_thread(limiter, done, str(number)))
        clock.wait_for_sleepers(number + 1)
    for number, thread in enumerate(threads):
        clock.advance(1)
        thread.join(10)
        assert done == [str(served) for served in range(number + 1)]


# --- statistics ----------------------------------------------------------------------------------------------------


async def test_the_time_in_the_line_is_told_in_percentiles(clock: FakeClock) -> None:
    limiter = TokenBucketLimiter(1, 1, name="percentiles", clock=clock)
    drain(limiter)
    tasks = []
    for number in range(10):
        tasks.append(asyncio.create_task(limiter.acquire_async(wait=True)))
        await until_waiting(limiter, number + 1)
    for served in range(1, 11):
        clock.advance(1)
        await until_done(tasks, served)
    stats = limiter.stats()
    times = stats.time_in_queue
    assert stats.waited == 10
    assert times.p50 == pytest.approx(5, rel=0.045)
    assert times.p90 == pytest.approx(9, rel=0.045)
    assert times.p99 == pytest.approx(10, rel=0.045)
    assert times.longest == 10
    assert asdict(stats)["time_in_queue"]["longest"] == 10


@pytest.mark.parametrize("seconds", [1e-6, 3.3e-5, 0.001, 0.7, 1, 59, 86_400, 1e7])
def test_a_percentile_is_as_near_as_it_says(seconds: float) -> None:
    times = WaitTimes()
    times.add(seconds)
    times.add(seconds * 1000)
    assert times.summary().p50 == pytest.approx(seconds, rel=0.045)


@pytest.mark.parametrize("seconds", [0, 1e-12, 1e12])
def test_a_wait_out_of_any_range_is_counted_all_the_same(seconds: float) -> None:
    times = WaitTimes()
    times.add(seconds)
    assert times.summary().longest == seconds


def test_without_a_wait_there_are_no_times(limiter: TokenBucketLimiter) -> None:
    limiter.acquire()
    times = limiter.stats().time_in_queue
    assert (times.p50, times.p99, times.longest) == (0, 0, 0)


# --- other numbers -------------------------------------------------------------------------------------------------


def test_a_change_does_not_forgive_what_was_used(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter, "anna")
    limiter.reconfigure(rate=4, burst=5)
    assert (limiter.rate, limiter.burst) == (4, 5)
    assert limiter.peek(key="anna").remaining == 2
    assert limiter.peek(key="ben").remaining == 5
    clock.advance(0.25)
    assert limiter.peek(key="anna").remaining == 3


def test_a_change_holds_for_who_has_the_limiter_already(limiter: TokenBucketLimiter) -> None:
    acquire = limiter.acquire
    limiter.reconfigure(burst=1)
    assert [acquire().allowed for _ in range(2)] == [True, False]
    with pytest.raises(ConfigurationError, match="from 1 to 1 at once"):
        acquire(2)


def test_a_change_of_a_window_counts_what_is_in_it(clock: FakeClock) -> None:
    limiter = SlidingWindowLimiter(3, 10, name="window", clock=clock)
    drain(limiter)
    limiter.reconfigure(limit=5)
    assert [limiter.acquire().allowed for _ in range(3)] == [True, True, False]


async def test_those_who_wait_keep_their_places_through_a_change(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    done: list[str] = []
    thread = wait_in_thread(limiter, done, "thread")
    await asyncio.to_thread(clock.wait_for_sleepers, 1)
    task = asyncio.create_task(limiter.acquire_async(2, wait=True))
    await until_waiting(limiter, 2)
    limiter.reconfigure(rate=8)
    await until_waiting(limiter, 2)
    clock.advance(0.125)
    await asyncio.to_thread(thread.join, 10)
    assert (done, task.done()) == (["thread"], False)
    clock.advance(0.25)
    assert (await task).allowed


def test_no_permit_is_made_by_changes_under_load() -> None:
    limiter = TokenBucketLimiter(1, 1000, name="load", clock=FakeClock())
    admitted: list[int] = []
    stop = threading.Event()

    def take() -> None:
        count = 0
        while not stop.is_set():
            count += limiter.acquire().allowed
        admitted.append(count)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(50):
        limiter.reconfigure(rate=1 + number % 2)
    while limiter.peek().allowed:
        pass
    stop.set()
    for thread in threads:
        thread.join(10)
    assert sum(admitted) == limiter.stats().acquired == 1000


def test_a_limiter_of_several_limits_is_no_other_after_a_change() -> None:
    limiter = RateLimiter("1/second; 5/minute", name="several")
    with pytest.raises(ConfigurationError, match="cannot change while it runs"):
        limiter._change(TokenBucketLimiter(1, 1, name="one").rules)
