"""The adaptive limiter: who may go, and who waits."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

from spanguard.errors import BlockingWaitError, ConfigurationError, SpanguardError
from spanguard.rate_limiter import AdaptiveLimitExceededError, Aimd
from spanguard.telemetry.deadline import deadline
from spanguard.testing import FakeClock
from unit.adaptive.conftest import Make
from unit.bulkhead.callers import DEADLINE, running, until, wait_until

# --- forms ---------------------------------------------------------------------------------------------------------


def test_plain_calls_blocks_and_decorated_functions_are_limited(make: Make) -> None:
    limiter = make(initial=1)

    @limiter
    def nested(depth: int) -> int:
        return depth and nested(depth - 1)

    assert nested(0) == 0
    for call in (lambda: nested(1), lambda: limiter.call(limiter.call, int)):
        with pytest.raises(AdaptiveLimitExceededError):
            call()
    with limiter.calling(), pytest.raises(AdaptiveLimitExceededError):
        limiter.calling().__enter__()
    assert limiter.stats().running == 0


async def test_tasks_are_limited_in_the_same_forms(make: Make) -> None:
    limiter = make(initial=1)

    @limiter
    async def nested(depth: int) -> int:
        return depth and await nested(depth - 1)

    assert await nested(0) == 0
    with pytest.raises(AdaptiveLimitExceededError):
        await nested(1)
    async with limiter.calling():
        with pytest.raises(AdaptiveLimitExceededError):
            await limiter.call_async(asyncio.sleep, 0)
    assert limiter.stats().running == 0


def test_a_call_that_would_work_outside_the_limit_is_refused(make: Make) -> None:
    limiter = make()
    with pytest.raises(TypeError, match="call_async"):
        limiter.call(asyncio.sleep, 0)  # type: ignore[unused-coroutine]
    with pytest.raises(ConfigurationError, match="generator"):

        @limiter
        def generate() -> Any:
            yield


def test_a_refusal_says_what_is_full(make: Make) -> None:
    limiter = make(initial=1)
    with limiter.calling(), pytest.raises(AdaptiveLimitExceededError, match="lets 1 calls run at once") as caught:
        limiter.call(int)
    error = caught.value
    assert (error.name, error.outcome, error.limit, error.queued, error.waited) == ("search", "rejected", 1, 0, 0.0)
    assert isinstance(error, TimeoutError)
    assert isinstance(error, SpanguardError)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), vars(copy)) == (str(error), vars(error))


# --- the queue -----------------------------------------------------------------------------------------------------


async def test_calls_wait_in_a_fair_queue(make: Make) -> None:
    limiter, order = make(initial=1, queue=5), []

    async def note(number: int) -> None:
        order.append(number)

    async with limiter.calling():
        tasks = []
        for number in range(5):
            tasks.append(asyncio.ensure_future(limiter.call_async(note, number)))
            await until(lambda: limiter.stats().queued == len(tasks))
        with pytest.raises(AdaptiveLimitExceededError, match="5 wait"):
            await limiter.call_async(note, 9)
    await asyncio.gather(*tasks)
    assert order == list(range(5))
    assert limiter.stats().admitted == 6


async def test_a_call_waits_no_longer_than_max_wait_or_its_deadline(make: Make, clock: FakeClock) -> None:
    limiter = make(initial=1, queue=5, max_wait=2)
    async with limiter.calling():
        first = asyncio.ensure_future(limiter.call_async(asyncio.sleep, 0))
        with deadline(1, clock=clock):
            second = asyncio.ensure_future(limiter.call_async(asyncio.sleep, 0))
        await until(lambda: clock.sleeping == 2)
        clock.advance(1)
        with pytest.raises(AdaptiveLimitExceededError):
            await second
        clock.advance(1)
        with pytest.raises(AdaptiveLimitExceededError) as caught:
            await first
    assert (caught.value.outcome, caught.value.waited) == ("timed_out", 2.0)
    assert (limiter.stats().timed_out, limiter.stats().queued) == (2, 0)


def test_a_thread_waits_until_a_permit_is_free(make: Make) -> None:
    limiter, done = make(initial=1, queue=1), threading.Event()
    with limiter.calling(), running(lambda: limiter.call(done.set)) as threads:
        wait_until(lambda: limiter.stats().queued == 1)
        assert not done.is_set()
        limiter._permits.resize(2, 1)
        assert done.wait(DEADLINE)
    assert not any(thread.is_alive() for thread in threads)


async def test_a_cancelled_wait_leaves_nothing_behind(make: Make) -> None:
    limiter = make(initial=1, queue=1)
    async with limiter.calling():
        waiting = asyncio.ensure_future(limiter.call_async(asyncio.sleep, 0))
        await until(lambda: limiter.stats().queued == 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert (limiter.stats().cancelled, limiter.stats().queued, limiter.stats().running) == (1, 0, 0)


def test_an_interrupt_in_a_wait_leaves_nothing_behind(
    make: Make, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(clock, "wait", interrupted)
    limiter = make(initial=1, queue=1)
    with limiter.calling(), pytest.raises(KeyboardInterrupt):
        limiter.call(int)
    assert (limiter.stats().cancelled, limiter.stats().queued, limiter.stats().running) == (1, 0, 0)


def test_a_block_that_is_under_way_is_not_entered_again(make: Make) -> None:
    block = make().calling()
    with block, pytest.raises(RuntimeError, match="under way"):
        block.__enter__()
    with block:
        pass


async def test_a_plain_call_that_might_wait_is_refused_in_the_thread_of_an_event_loop(make: Make) -> None:
    with pytest.raises(BlockingWaitError, match="call_async"):
        make(queue=1).call(int)
    assert make().call(int) == 0


async def test_a_limit_that_grows_lets_those_in_who_wait(make: Make, clock: FakeClock) -> None:
    limiter = make(Aimd(), initial=1, queue=1, window_calls=1)
    gate = asyncio.get_running_loop().create_future()

    async def call() -> None:
        await gate

    async with limiter.calling():
        waiting = asyncio.ensure_future(limiter.call_async(call))
        await until(lambda: limiter.stats().queued == 1)
        clock.advance(1)
    await until(lambda: limiter.stats().running == 1)
    assert limiter.limit == 2
    async with limiter.calling():
        assert limiter.stats().running == 2
    gate.set_result(None)
    await waiting


# --- fork ----------------------------------------------------------------------------------------------------------


def test_in_a_forked_child_all_permits_are_free_and_the_limit_is_the_same(
    make: Make, in_child: Callable[[Callable[[], object]], str]
) -> None:
    limiter = make(initial=2)
    with limiter.calling(), limiter.calling(), limiter._meter.lock, limiter._permits.lock:
        child = in_child(lambda: (limiter.limit, limiter.stats().running, limiter.call(limiter.call, int)))
    assert child == repr((2, 0, 0))


def test_a_task_that_waits_across_a_fork_goes_through_in_the_child(
    make: Make, in_child: Callable[[Callable[[], object]], str]
) -> None:
    limiter = make(initial=1, queue=1)
    loop = asyncio.new_event_loop()

    async def nothing() -> str:
        return "through"

    async def begin() -> asyncio.Future[str]:
        waiting = asyncio.ensure_future(limiter.call_async(nothing))
        await until(lambda: limiter.stats().queued == 1)
        return waiting

    held = limiter.calling()
    loop.run_until_complete(held.__aenter__())
    waiting = loop.run_until_complete(begin())
    assert in_child(lambda: loop.run_until_complete(waiting)) == repr("through")
    held.__exit__(None, None, None)
    assert loop.run_until_complete(waiting) == "through"
    loop.close()


# --- settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"initial": 0}, "initial is 0"),
        ({"minimum": 0}, "minimum is 0"),
        ({"maximum": 1.5}, "maximum is 1.5"),
        ({"queue": -1}, "queue is -1"),
        ({"initial": 5, "maximum": 4}, "must not lie outside"),
        ({"initial": 5, "minimum": 6}, "must not lie outside"),
        ({"window": 0}, "window is 0"),
        ({"window_calls": 0}, "window_calls is 0"),
        ({"max_wait": float("inf")}, "max_wait is inf"),
        ({"event_step": -0.1}, "event_step is -0.1"),
        ({"name": ""}, "name is ''"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(make: Make, settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        make(**settings)
