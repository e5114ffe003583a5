"""Threads and tasks together, cancellation at any point, and fork."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from spanguard.error_handling import Bulkhead, BulkheadFullError, CircuitBreaker, RetryConfig, remaining
from spanguard.errors import BlockingWaitError
from spanguard.guard import Guard, guards
from spanguard.rate_limiter import RateLimitExceededError, TokenBucketLimiter
from spanguard.testing import FakeClock, guards_off
from unit.guard.dependency import Dependency

InChild = Callable[[Callable[[], object]], str]
FREE = RetryConfig(2, base_delay=0, max_delay=0, budget=None)


def test_threads_and_tasks_share_the_permits_and_lose_none() -> None:
    bulkhead, limiter = Bulkhead(4, queue=10_000, name="x"), TokenBucketLimiter(1_000_000, 100_000, name="x")
    breaker = CircuitBreaker(name="x")
    guarded = Guard("x", bulkhead=bulkhead, rate_limiter=limiter, retry=FREE, circuit_breaker=breaker, timeout=30)
    most, inside, lock = [0], [0], threading.Lock()

    def enter() -> None:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        with lock:
            inside[0] -= 1

    call = guarded(enter)

    @guarded
    async def ask() -> None:
        enter()
        await asyncio.sleep(0)

    async def many() -> None:
        await asyncio.gather(*(ask() for _ in range(500)))

    with ThreadPoolExecutor(8) as pool:
        for future in [*(pool.submit(call) for _ in range(500)), *(pool.submit(asyncio.run, many()) for _ in range(2))]:
            future.result()
    assert 1 <= most[0] <= 4
    stats = guarded.stats()
    assert stats.bulkhead is not None
    assert stats.timeout is not None
    assert (stats.bulkhead.running, stats.bulkhead.queued, stats.bulkhead.admitted) == (0, 0, 1500)
    assert limiter.stats().acquired == breaker.stats().success == stats.timeout.in_time == 1500


@pytest.mark.parametrize("steps", range(12))
async def test_a_task_that_is_cancelled_at_any_point_leaves_nothing_behind(steps: int) -> None:
    bulkhead, breaker = Bulkhead(1, queue=5, name="x"), CircuitBreaker(1, name="x")
    limiter = TokenBucketLimiter(1_000, 1, name="x")
    guarded = Guard(
        "x",
        bulkhead=bulkhead,
        circuit_breaker=breaker,
        retry=FREE,
        timeout=20,
        deadline=30,
        rate_limiter=limiter,
        max_wait=5,
    )

    async def work() -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    tasks = [asyncio.ensure_future(guarded.call_async(work)) for _ in range(3)]
    for _ in range(steps):
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (bulkhead.stats().running, bulkhead.stats().queued, limiter.stats().waiting) == (0, 0, 0)
    assert breaker.stats().failure == 0
    assert await guarded.call_async(Dependency().ask) == "answer"


async def test_a_cancelled_probe_gives_its_permit_back() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(1, 10, name="x", clock=clock)
    guarded = Guard("x", circuit_breaker=breaker, timeout=20)
    breaker.open()
    clock.advance(10)
    probe = asyncio.ensure_future(guarded.call_async(FakeClock().sleep_async, 10))
    await asyncio.sleep(0)
    assert breaker.stats().probes_under_way == 1
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert breaker.stats().probes_under_way == 0


async def test_a_plain_call_that_would_wait_never_blocks_a_loop() -> None:
    limiter = TokenBucketLimiter(0.001, 1, name="x")
    guarded = Guard("x", rate_limiter=limiter, max_wait=5)
    with pytest.raises(BlockingWaitError):
        guarded.call(int)


async def test_tasks_do_not_share_a_deadline() -> None:
    short, long = Guard("short", deadline=5), Guard("long", deadline=500)

    async def left() -> float:
        await asyncio.sleep(0)
        return remaining() or 0

    first, second = await asyncio.gather(short.call_async(left), long.call_async(left))
    assert first <= 5 < second


def test_many_threads_resolve_one_guard_to_one_pipeline() -> None:
    guarded, start = Guard("x", timeout=5), threading.Barrier(8)

    def resolve() -> object:
        start.wait()
        return guarded.pipeline()

    with ThreadPoolExecutor(8) as pool:
        pipelines = {future.result() for future in [pool.submit(resolve) for _ in range(8)]}
    assert pipelines == {guarded.pipeline()}


def test_a_child_works_while_the_registry_was_locked(in_child: InChild) -> None:
    guarded = Guard("x", bulkhead=Bulkhead(1, name="x"), timeout=5)
    locked, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with guards._lock:
            locked.set()
            leave.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(20)
    try:
        assert in_child(lambda: guarded.call(int)) == "0"
    finally:
        leave.set()
        holder.join()


def test_a_child_forked_inside_a_call_has_free_permits(in_child: InChild) -> None:
    guarded = Guard("x", bulkhead=Bulkhead(1, name="x"), rate_limiter=TokenBucketLimiter(0.001, 2, name="x"))

    def inside() -> str:
        return in_child(lambda: guarded.call(int))

    assert guarded.call(inside) == "0"
    with pytest.raises(RateLimitExceededError):
        [guarded.call(int) for _ in range(2)]


def test_guards_that_were_off_at_a_fork_are_off_in_the_child(in_child: InChild) -> None:
    guarded = Guard("x")
    with guards_off():
        assert in_child(lambda: guarded.call(int)) == "0"


def test_a_full_bulkhead_refuses_whoever_comes_from_another_thread() -> None:
    guarded = Guard("x", bulkhead=Bulkhead(1, name="x"), timeout=5)

    def inside() -> type[BaseException]:
        with ThreadPoolExecutor(1) as pool:
            return type(pool.submit(guarded.call, int).exception())  # type: ignore[return-value]

    assert guarded.call(inside) is BulkheadFullError
