"""The retry among tasks, threads and forks: nothing blocks, nothing is lost, a cancellation is at once."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from typing import Any

import pytest

from spanguard import semconv
from spanguard.error_handling import Retry, with_retry
from spanguard.telemetry import COUNTS
from spanguard.testing import FakeClock, Signals

CALLS = semconv.RETRY_CALLS_METRIC.name
OUTCOME = semconv.RETRY_OUTCOME.key
REASON = semconv.RETRY_REASON.key


class Failing:
    """A coroutine function that fails so many times and then succeeds."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        await asyncio.sleep(0)
        if self.calls <= self.failures:
            raise ConnectionError
        return "answer"


async def until_sleeping(clock: FakeClock, count: int = 1) -> None:
    async with asyncio.timeout(10):
        while clock.sleeping < count:  # noqa: ASYNC110 - the fake clock has no event to await
            await asyncio.sleep(0)


def build(clock: FakeClock, **changes: Any) -> Retry:
    return Retry(**{"name": "api", "jitter": "none", "base_delay": 1.0, "clock": clock, **changes})


async def test_a_coroutine_function_is_retried() -> None:
    dependency = Failing(2)
    retry = build(FakeClock(auto_advance=True))
    assert await retry.call_async(dependency) == "answer"
    assert dependency.calls == 3


async def test_a_decorated_coroutine_function_stays_one(signals: Signals) -> None:
    calls: list[int] = []

    @with_retry(name="decorated", base_delay=0.0, max_delay=0.0)
    async def fetch() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise ConnectionError
        return 200

    assert asyncio.iscoroutinefunction(fetch)
    assert await fetch() == 200
    assert signals.increase(CALLS, {OUTCOME: "success_with_retry"}) == 1


async def test_other_tasks_run_while_one_waits(clock: FakeClock) -> None:
    waiting = asyncio.create_task(build(clock).call_async(Failing(1)))
    await until_sleeping(clock)
    assert await build(clock).call_async(Failing(0)) == "answer"
    clock.advance(1)
    assert await waiting == "answer"


@pytest.mark.parametrize("form", ["call", "block"])
async def test_a_cancellation_while_it_waits_ends_it_at_once(clock: FakeClock, signals: Signals, form: str) -> None:
    dependency = Failing(5)

    async def in_a_block() -> None:
        async for attempt in build(clock):
            with attempt:
                await dependency()

    task = asyncio.create_task(build(clock).call_async(dependency) if form == "call" else in_a_block())
    await until_sleeping(clock)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (dependency.calls, clock.sleeping) == (1, 0)
    assert signals.increase(CALLS, {OUTCOME: "cancelled"}) == 1
    (span,) = signals.spans("guard api")
    assert span.status == "unset"


async def test_a_cancellation_during_an_attempt_is_not_retried(clock: FakeClock, signals: Signals) -> None:
    begun = asyncio.Event()

    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(build(clock, retry_on=BaseException).call_async(hang))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert signals.increase(CALLS, {OUTCOME: "cancelled"}) == 1


async def test_an_async_block_is_retried_and_may_be_left_by_return(signals: Signals) -> None:
    dependency = Failing(1)
    retry = build(FakeClock(auto_advance=True))

    async def ask() -> str | None:
        async for attempt in retry:
            with attempt:
                return await dependency()
        return None

    assert await ask() == "answer"
    assert signals.increase(CALLS, {OUTCOME: "success_with_retry"}) == 1


async def test_a_plain_function_does_not_sleep_in_a_thread_that_runs_an_event_loop(
    clock: FakeClock, signals: Signals
) -> None:
    def fail() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError) as caught:
        build(clock).call(fail)
    assert "event loop" in caught.value.__notes__[0]
    assert signals.increase(CALLS, {REASON: "would_block"}) == 1


async def test_a_plain_function_without_a_wait_is_retried_in_an_event_loop(clock: FakeClock) -> None:
    errors = [ConnectionError()]

    def fail_once() -> str:
        if errors:
            raise errors.pop()
        return "answer"

    assert build(clock, base_delay=0.0).call(fail_once) == "answer"


async def test_a_thousand_tasks_count_a_thousand_calls(signals: Signals) -> None:
    retry = build(FakeClock(auto_advance=True), budget=None)
    answers = await asyncio.gather(*(retry.call_async(Failing(number % 3)) for number in range(999)))
    assert answers == ["answer"] * 999
    assert signals.increase(CALLS, {OUTCOME: "success_without_retry"}) == 333
    assert signals.increase(CALLS, {OUTCOME: "success_with_retry"}) == 666


def total(name: str) -> float:
    return sum(
        value
        for attributes, value in COUNTS.read(semconv.RETRY_CALLS_METRIC)
        if attributes[semconv.POLICY_NAME.key] == name
    )


def test_threads_that_succeed_at_once_lose_no_count() -> None:
    retry = Retry(name="threads")
    guarded = retry(int)
    together = threading.Barrier(16)

    def work() -> None:
        together.wait()
        for _ in range(2000):
            guarded()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert total("threads") == 32_000


def test_threads_retry_side_by_side(clock: FakeClock) -> None:
    retry = build(clock, max_attempts=2)
    answers: list[str] = []

    def work() -> None:
        errors = [ConnectionError()]

        def fail_once() -> str:
            if errors:
                raise errors.pop()
            return "answer"

        answers.append(retry.call(fail_once))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    clock.wait_for_sleepers(8)
    clock.advance(1)
    for thread in threads:
        thread.join(10)
    assert answers == ["answer"] * 8


def test_a_child_of_a_fork_retries_and_counts_for_itself() -> None:
    retry = Retry(name="forked", base_delay=0.0, max_delay=0.0)
    guarded = retry(int)
    guarded()
    budget = retry.budget
    assert budget is not None
    # Another thread holds the budget's lock when the process forks.
    holds, done = threading.Event(), threading.Event()

    def hold() -> None:
        with budget._lock:
            holds.set()
            done.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    holds.wait(10)
    child = os.fork()
    if child == 0:
        errors = [ConnectionError()]

        def fail_once() -> None:
            if errors:
                raise errors.pop()

        retry.call(fail_once)
        guarded()
        os._exit(0 if total("forked") == 2 else 1)
    _, status = os.waitpid(child, 0)
    done.set()
    holder.join()
    assert os.waitstatus_to_exitcode(status) == 0
