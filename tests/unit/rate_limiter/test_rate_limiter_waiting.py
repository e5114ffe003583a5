"""Waiting for a permit: the line, its timeouts, and waits that end before their turn."""

from __future__ import annotations

import asyncio

import pytest

from spanguard.rate_limiter import BlockingWaitError, TokenBucketLimiter
from spanguard.testing import FakeClock
from unit.rate_limiter.callers import drain, until_done, until_waiting, wait_in_thread


async def test_waiting_tasks_are_served_first_come_first_served(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    order: list[int] = []

    async def wait(number: int, tokens: int) -> None:
        await limiter.acquire_async(tokens, wait=True)
        order.append(number)

    tasks = []
    for number, tokens in enumerate((3, 1, 2, 1)):
        tasks.append(asyncio.create_task(wait(number, tokens)))
        await until_waiting(limiter, number + 1)
    for served, seconds in enumerate((1.5, 0.5, 1.0, 0.5), start=1):
        clock.advance(seconds)
        await until_done(tasks, served)
        assert order == list(range(served))


async def test_nobody_overtakes_those_who_wait(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    waiting = asyncio.create_task(limiter.acquire_async(3, wait=True))
    await until_waiting(limiter, 1)
    clock.advance(1.0)
    refused = limiter.acquire()
    assert (refused.allowed, refused.retry_after) == (False, 1.0)
    clock.advance(0.5)
    assert (await waiting).allowed


async def test_a_wait_on_one_key_holds_up_no_other(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter, key="anna")
    waiting = asyncio.create_task(limiter.acquire_async(wait=True, key="anna"))
    await until_waiting(limiter, 1)
    assert limiter.acquire(key="ben")
    clock.advance(0.5)
    assert (await waiting).allowed


def test_a_request_that_cannot_be_served_in_time_is_told_at_once(limiter: TokenBucketLimiter) -> None:
    drain(limiter)
    status = limiter.acquire(wait=True, timeout=0.4)
    assert (status.allowed, status.retry_after) == (False, 0.5)
    assert limiter.stats().timed_out == 1


async def test_the_timeout_counts_those_ahead_in_the_line(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    ahead = asyncio.create_task(limiter.acquire_async(2, wait=True))
    await until_waiting(limiter, 1)
    assert (await limiter.acquire_async(wait=True, timeout=1.4)).retry_after == 1.5
    clock.advance(1.0)
    await ahead


def test_a_wait_within_its_timeout_is_served(clock: FakeClock) -> None:
    limiter = TokenBucketLimiter(2, 3, name="auto", clock=FakeClock(auto_advance=True))
    drain(limiter)
    assert limiter.acquire(wait=True, timeout=0.5)


def test_threads_wait_in_line_too(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    done: list[str] = []
    first = wait_in_thread(limiter, done, "first")
    clock.wait_for_sleepers(1)
    second = wait_in_thread(limiter, done, "second")
    clock.wait_for_sleepers(2)
    clock.advance(0.5)
    first.join(10)
    assert done == ["first"]
    clock.advance(0.5)
    second.join(10)
    assert done == ["first", "second"]


async def test_threads_and_tasks_stand_in_one_line(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    done: list[str] = []
    thread = wait_in_thread(limiter, done, "thread")
    await asyncio.to_thread(clock.wait_for_sleepers, 1)
    task = asyncio.create_task(limiter.acquire_async(wait=True))
    await until_waiting(limiter, 2)
    clock.advance(0.5)
    await asyncio.to_thread(thread.join, 10)
    assert (done, task.done()) == (["thread"], False)
    clock.advance(0.5)
    assert (await task).allowed


async def test_a_cancelled_wait_takes_no_permit(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    task = asyncio.create_task(limiter.acquire_async(2, wait=True))
    await until_waiting(limiter, 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    clock.advance(0.5)
    assert limiter.acquire()
    assert limiter.stats().cancelled == 1


async def test_those_behind_a_cancelled_wait_move_up(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    tasks = []
    for number, tokens in enumerate((3, 1, 1)):
        tasks.append(asyncio.create_task(limiter.acquire_async(tokens, wait=True)))
        await until_waiting(limiter, number + 1)
    tasks[0].cancel()
    await until_waiting(limiter, 2)
    for served in (2, 3):
        await until_waiting(limiter, 4 - served)
        clock.advance(0.5)
        await until_done(tasks, served)


async def test_a_wait_cancelled_after_it_was_served_gives_its_permit_back(
    limiter: TokenBucketLimiter, clock: FakeClock
) -> None:
    drain(limiter)
    task = asyncio.create_task(limiter.acquire_async(wait=True))
    await until_waiting(limiter, 1)
    clock.advance(0.5)
    # Somebody else comes by and serves the line; the task has its permit now but has not run yet.
    assert not limiter.acquire()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert limiter.acquire()
    assert not limiter.acquire()


async def test_a_permit_given_back_late_does_not_overfill_the_bucket(
    limiter: TokenBucketLimiter, clock: FakeClock
) -> None:
    drain(limiter)
    task = asyncio.create_task(limiter.acquire_async(wait=True))
    await until_waiting(limiter, 1)
    clock.advance(0.5)
    limiter.acquire()
    clock.advance(60)
    assert limiter.acquire()  # the bucket was full, so the served permit has been earned again already
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [limiter.acquire().allowed for _ in range(3)] == [True, True, False]


async def test_a_wait_that_is_collected_while_the_lock_is_held_neither_hangs_nor_keeps_its_permit(
    limiter: TokenBucketLimiter, clock: FakeClock
) -> None:
    drain(limiter)
    abandoned = limiter.acquire_async(3, wait=True)
    abandoned.send(None)
    await until_waiting(limiter, 1)
    with limiter._lock:
        # What a garbage collection in the middle of a decision does to a coroutine that nobody holds.
        abandoned.close()
    clock.advance(0.5)
    assert limiter.acquire()
    assert limiter.stats().cancelled == 1


class NeverWaking(FakeClock):
    """A clock on which tasks sleep for ever."""

    async def sleep_async(self, seconds: float) -> None:
        await asyncio.Event().wait()


def test_a_wait_whose_loop_died_holds_up_nobody() -> None:
    clock = NeverWaking()
    limiter = TokenBucketLimiter(2, 3, name="unit", clock=clock)
    drain(limiter)
    loop = asyncio.new_event_loop()
    dead = loop.create_task(limiter.acquire_async(wait=True))
    while not limiter.stats().waiting:
        loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    clock.advance(0.5)
    assert limiter.acquire()
    assert not dead.done()


async def test_a_blocking_wait_in_an_event_loop_is_refused(limiter: TokenBucketLimiter) -> None:
    with pytest.raises(BlockingWaitError, match="acquire_async"):
        limiter.acquire(wait=True)


async def test_a_wait_does_not_block_the_loop(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    waiting = asyncio.create_task(limiter.acquire_async(wait=True))
    ran = await asyncio.gather(*(asyncio.sleep(0, number) for number in range(10)))
    assert (ran, waiting.done()) == (list(range(10)), False)
    clock.advance(0.5)
    await waiting
