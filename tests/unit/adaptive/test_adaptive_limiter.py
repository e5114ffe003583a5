"""The adaptive limiter: who may go, what is learned from whom, and what is told."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

from spanguard.error_handling import BulkheadFullError, CallTimeoutError
from spanguard.errors import BlockingWaitError, ConfigurationError, SpanguardError
from spanguard.rate_limiter import AdaptiveLimiter, AdaptiveLimitExceededError, Aimd
from spanguard.telemetry.deadline import deadline
from spanguard.testing import FakeClock, Signals
from unit.adaptive.conftest import Make
from unit.bulkhead.callers import DEADLINE, running, until, wait_until


def one_window(limiter: AdaptiveLimiter, clock: FakeClock) -> None:
    """Ten calls, of which two run at once, in a little more than a second."""
    with limiter.calling():
        for _ in range(9):
            limiter.call(clock.advance, 0.125)


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


# --- what is learned -----------------------------------------------------------------------------------------------


def test_the_limit_moves_after_a_window_of_enough_calls_and_time(make: Make, clock: FakeClock) -> None:
    limiter = make(Aimd(), initial=1, window=1.0, window_calls=10)
    for _ in range(9):
        limiter.call(clock.advance, 1)
        assert limiter.limit == 1
    limiter.call(int)
    assert limiter.limit == 2
    for _ in range(50):
        limiter.call(int)
    assert limiter.limit == 2
    clock.advance(1)
    limiter.call(int)
    assert limiter.limit == 3


@pytest.mark.parametrize(
    ("drop_on", "error", "is_drop"),
    [
        (TimeoutError, TimeoutError(), True),
        (TimeoutError, CallTimeoutError("inner", 1.0), True),
        (TimeoutError, BulkheadFullError("inner", "rejected", 1, 0, 0.0), False),
        (lambda _: True, BulkheadFullError("inner", "rejected", 1, 0, 0.0), True),
        (TimeoutError, ConnectionError(), False),
        ((ConnectionError, TimeoutError), ConnectionError(), True),
        (lambda error: "503" in str(error), RuntimeError("503"), True),
        (lambda error: error.code, RuntimeError("no code"), False),
        (BaseException, KeyboardInterrupt(), False),
        (BaseException, asyncio.CancelledError(), False),
    ],
)
def test_errors_are_drops_or_say_nothing(make: Make, drop_on: Any, error: BaseException, is_drop: bool) -> None:
    limiter = make(drop_on=drop_on)

    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        limiter.call(fail)
    assert limiter.stats().dropped == int(is_drop)


def test_a_block_says_itself_that_it_was_dropped_or_means_nothing(make: Make, clock: FakeClock) -> None:
    limiter = make(Aimd(), initial=10, window_calls=1)
    for say in ("drop", "ignore"):
        with limiter.calling() as call:
            clock.advance(1)
            getattr(call, say)()
        assert limiter.limit == 9
    assert limiter.stats().latency is None


def test_what_was_learned_is_known(make: Make, clock: FakeClock) -> None:
    limiter = make(initial=2, window_calls=2)
    limiter.call(clock.advance, 1)
    limiter.call(clock.advance, 2)
    stats = limiter.stats()
    assert (stats.latency, stats.baseline) == (1.5, 1.5)


def test_64_threads_are_never_more_at_once_than_allowed(make: Make) -> None:
    limiter, lock, peaks = make(Aimd(), initial=3, maximum=3, queue=64, window=1e-6), threading.Lock(), [0, 0]

    def work() -> None:
        with lock:
            peaks[0] += 1
            peaks[1] = max(peaks)
        with lock:
            peaks[0] -= 1

    def work_often() -> None:
        for _ in range(50):
            limiter.call(work)

    with running(*[work_often] * 64):
        pass
    assert peaks[1] <= 3
    assert (limiter.stats().admitted, limiter.stats().running) == (3200, 0)


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


# --- signals -------------------------------------------------------------------------------------------------------


def test_a_move_is_an_event_that_says_why(make: Make, clock: FakeClock, signals: Signals) -> None:
    limiter = make(Aimd(increase=5), initial=2)
    one_window(limiter, clock)
    (event,) = signals.events("spanguard.adaptive_limit.change")
    assert event.attributes == {
        "spanguard.policy.name": "search",
        "spanguard.adaptive_limit.reason": "headroom",
        "spanguard.adaptive_limit.from": 2,
        "spanguard.adaptive_limit.to": 7,
        "spanguard.adaptive_limit.in_flight.count": 2,
        "spanguard.adaptive_limit.latency": pytest.approx(0.225),
    }


def test_small_moves_are_told_when_they_add_up_to_a_step(make: Make, clock: FakeClock, signals: Signals) -> None:
    limiter = make(Aimd(), initial=20, window_calls=1, event_step=0.1)
    for _ in range(5):
        with limiter.calling() as call:
            clock.advance(1)
            call.drop()
    told = [
        (event.attributes["spanguard.adaptive_limit.from"], event.attributes["spanguard.adaptive_limit.to"])
        for event in signals.events("spanguard.adaptive_limit.change")
    ]
    # 18, 16.2, 14.58, 13.122, 11.8
    assert told == [(20, 18), (18, 16), (16, 14), (14, 11)]


def test_limit_usage_queue_and_latency_are_exported(clock: FakeClock, signals: Signals) -> None:
    # Of a name of its own: limiters that share one add up, and those of other tests may not be collected yet.
    limiter = AdaptiveLimiter(initial=5, window_calls=1, name="exported", clock=clock)
    limiter.call(clock.advance, 1)
    policy = {"spanguard.policy.name": "exported"}
    with limiter.calling():
        values = [signals.value(f"spanguard.adaptive_limit.{name}", policy) for name in ("limit", "usage", "queued")]
    latency = signals.value(
        "spanguard.adaptive_limit.latency", {**policy, "spanguard.adaptive_limit.latency.kind": "window"}
    )
    assert (values, latency) == ([5, 1, 0], 1.0)


def test_calls_and_what_was_learned_from_them_are_counted(make: Make, signals: Signals) -> None:
    limiter = make(initial=1)
    with limiter.calling() as call:
        call.drop()
        with pytest.raises(AdaptiveLimitExceededError):
            limiter.call(int)
    limiter.call(int)

    def increase(metric: str, key: str, value: str) -> float:
        return signals.increase(f"spanguard.adaptive_limit.{metric}", {f"spanguard.adaptive_limit.{key}": value})

    assert increase("calls", "outcome", "admitted") == 2
    assert increase("calls", "outcome", "rejected") == 1
    assert increase("samples", "sample", "dropped") == 1
    assert increase("samples", "sample", "measured") == 1


def test_a_refusal_is_an_event_and_a_failed_span(make: Make, signals: Signals) -> None:
    limiter = make(initial=1)

    @limiter
    def search() -> None:
        limiter.call(int)

    with pytest.raises(AdaptiveLimitExceededError):
        search()
    (event,) = signals.events("spanguard.adaptive_limit.rejected")
    (refused,) = [span for span in signals.spans("guard search") if span.span_id == event.span_id]
    assert refused.attributes["spanguard.outcome"] == "rejected"
    assert refused.attributes["spanguard.adaptive_limit.outcome"] == "rejected"
    assert event.attributes["spanguard.adaptive_limit.limit"] == 1


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
