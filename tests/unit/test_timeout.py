"""The timeout: tasks are cancelled when their time is over, threads are told, and nobody else's error is mistaken for it."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from spanguard.error_handling import CallTimeoutError, Timeout
from spanguard.errors import ConfigurationError, DeadlineExceededError
from spanguard.telemetry.deadline import check_deadline, deadline, remaining
from spanguard.testing import FakeClock, Signals

AWHILE = 30.0


@pytest.fixture(autouse=True, params=["quick", "watched"])
def _way(request: pytest.FixtureRequest) -> None:
    """Every test runs where nothing records, and where a tracer may."""
    if request.param == "watched":
        request.getfixturevalue("signals")
    elif "signals" not in request.fixturenames:
        request.getfixturevalue("nothing_records")


@pytest.fixture
def policy(clock: FakeClock) -> Timeout:
    return Timeout(2.0, name="api", clock=clock)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(AWHILE):
        while not condition():  # noqa: ASYNC110 - the fake clock brings it about
            await asyncio.sleep(0)


async def never() -> None:
    await asyncio.get_running_loop().create_future()


# --- tasks ---------------------------------------------------------------------------------------------------------


async def test_a_task_is_cancelled_when_its_time_is_over() -> None:
    with pytest.raises(CallTimeoutError) as caught:
        await Timeout(0.01, name="api").call_async(never)
    assert (caught.value.name, caught.value.seconds) == ("api", 0.01)
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)


async def test_a_task_is_cancelled_by_the_clock_that_was_given(policy: Timeout, clock: FakeClock) -> None:
    call = asyncio.ensure_future(policy.call_async(never))
    await until(lambda: clock.sleeping == 1)
    clock.advance(1.9)
    await asyncio.sleep(0)
    assert not call.done()
    clock.advance(0.1)
    with pytest.raises(CallTimeoutError):
        await call
    assert policy.stats().timed_out == 1


async def test_a_task_that_ends_in_time_returns_its_result_and_stops_the_clock(
    policy: Timeout, clock: FakeClock
) -> None:
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    call = asyncio.ensure_future(policy.call_async(lambda: answer))
    await until(lambda: clock.sleeping == 1)
    answer.set_result("result")
    assert await call == "result"
    await until(lambda: clock.sleeping == 0)
    assert policy.stats().in_time == 1


async def test_a_task_is_not_cancelled_once_its_call_has_ended() -> None:
    await Timeout(0.01, name="api").call_async(asyncio.sleep, 0)
    await asyncio.sleep(0.03)


async def test_the_calls_own_timeout_error_stays_what_it_is(policy: Timeout) -> None:
    async def fail() -> None:
        raise TimeoutError("their own")

    with pytest.raises(TimeoutError, match="their own") as caught:
        await policy.call_async(fail)
    assert not isinstance(caught.value, CallTimeoutError)
    assert policy.stats().in_time == 1


async def test_a_timeout_error_in_answer_to_the_cancellation_stays_what_it_is() -> None:
    async def fail() -> None:
        try:
            await never()
        except asyncio.CancelledError:
            raise TimeoutError("their own") from None

    with pytest.raises(TimeoutError, match="their own"):
        await Timeout(0.01, name="api").call_async(fail)


async def test_a_cancellation_from_outside_stays_one(policy: Timeout, clock: FakeClock) -> None:
    call = asyncio.ensure_future(policy.call_async(never))
    await until(lambda: clock.sleeping == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert policy.stats().timed_out == 0


async def test_a_cancellation_from_outside_at_the_same_moment_stays_one(policy: Timeout, clock: FakeClock) -> None:
    call = asyncio.ensure_future(policy.call_async(never))
    await until(lambda: clock.sleeping == 1)
    clock.advance(2)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_the_inner_of_two_timeouts_is_the_one_that_tells() -> None:
    outer, inner = Timeout(AWHILE, name="outer"), Timeout(0.01, name="inner")
    with pytest.raises(CallTimeoutError) as caught:
        await outer.call_async(inner.call_async, never)
    assert caught.value.name == "inner"
    assert (outer.stats().in_time, inner.stats().timed_out) == (1, 1)


async def test_the_outer_of_two_timeouts_ends_the_inner_too() -> None:
    outer, inner = Timeout(0.01, name="outer"), Timeout(AWHILE, name="inner")
    with pytest.raises(CallTimeoutError) as caught:
        await outer.call_async(inner.call_async, never)
    assert caught.value.name in ("outer", "inner")
    assert caught.value.seconds <= 0.01


async def test_a_block_is_cancelled_when_its_time_is_over() -> None:
    with pytest.raises(CallTimeoutError):
        async with Timeout(0.01, name="api").calling():
            await never()


async def test_a_coroutine_that_swallows_its_cancellation_is_late() -> None:
    policy = Timeout(0.01, name="api")

    async def stubborn() -> str:
        try:
            await never()
        except asyncio.CancelledError:
            return "result"
        return "never"

    assert await policy.call_async(stubborn) == "result"
    assert policy.stats().late == 1


def test_outside_a_task_nothing_is_left_behind(policy: Timeout) -> None:
    with pytest.raises(RuntimeError):
        policy.calling().__aenter__().send(None)
    assert remaining() is None


# --- threads -------------------------------------------------------------------------------------------------------


def test_a_call_in_a_thread_knows_how_much_time_is_left(policy: Timeout, clock: FakeClock) -> None:
    def work() -> float | None:
        clock.advance(0.5)
        return remaining()

    assert policy.call(work) == 1.5
    assert remaining() is None


def test_a_call_in_a_thread_that_asks_gives_up_in_time(policy: Timeout, clock: FakeClock) -> None:
    def work() -> None:
        clock.advance(2)
        check_deadline("the next page")

    with pytest.raises(CallTimeoutError) as caught:
        policy.call(work)
    assert isinstance(caught.value.__cause__, DeadlineExceededError)
    assert policy.stats().timed_out == 1


def test_a_call_in_a_thread_that_does_not_ask_is_late_and_its_result_counts(policy: Timeout, clock: FakeClock) -> None:
    def work() -> str:
        clock.advance(3)
        return "result"

    assert policy.call(work) == "result"
    assert (policy.stats().late, policy.stats().in_time) == (1, 0)


def test_an_error_of_the_calls_own_goes_on(policy: Timeout) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        policy.call(int, "x")
    assert policy.stats().in_time == 1


# --- the deadline --------------------------------------------------------------------------------------------------


def test_a_timeout_is_never_longer_than_the_deadline_around_it(policy: Timeout, clock: FakeClock) -> None:
    with deadline(0.5, clock=clock):
        assert policy.call(remaining) == 0.5


def test_a_timeout_that_is_shorter_than_the_deadline_stands(policy: Timeout, clock: FakeClock) -> None:
    with deadline(60, clock=clock):
        assert policy.call(remaining) == 2.0
        assert remaining() == 60


def test_a_call_that_has_no_time_left_is_not_begun(policy: Timeout, clock: FakeClock) -> None:
    called: list[int] = []
    with deadline(1, clock=clock):
        clock.advance(1)
        with pytest.raises(DeadlineExceededError):
            policy.call(called.append, 1)
    assert (called, policy.stats().not_begun) == ([], 1)


def test_the_deadlines_own_end_is_not_mistaken_for_the_timeouts(policy: Timeout, clock: FakeClock) -> None:
    def work() -> None:
        clock.advance(1)
        check_deadline("the next page")

    with deadline(1, clock=clock), pytest.raises(DeadlineExceededError):
        policy.call(work)


def test_a_block_that_ran_under_a_deadline_can_run_again_without(policy: Timeout, clock: FakeClock) -> None:
    block = policy.calling()
    with deadline(1, clock=clock), block:
        pass

    def run_again() -> None:
        with block:
            clock.advance(2)
            check_deadline("the next page")

    with pytest.raises(CallTimeoutError):
        run_again()


async def test_a_task_is_cancelled_when_the_deadline_around_it_ends(policy: Timeout, clock: FakeClock) -> None:
    with deadline(0.5, clock=clock):
        call = asyncio.ensure_future(policy.call_async(never))
    await until(lambda: clock.sleeping == 1)
    clock.advance(0.5)
    with pytest.raises(CallTimeoutError) as caught:
        await call
    assert caught.value.seconds == 0.5


# --- forms, settings and texts -------------------------------------------------------------------------------------


async def test_it_decorates_functions_and_coroutine_functions(policy: Timeout) -> None:
    @policy
    def plain() -> float | None:
        return remaining()

    @policy
    async def awaited() -> float | None:
        return remaining()

    assert (plain(), await awaited()) == (2.0, 2.0)


def test_a_generator_function_is_refused(policy: Timeout) -> None:
    def numbers() -> Iterator[int]:
        yield 1

    with pytest.raises(ConfigurationError, match="generator"):
        policy(numbers)


def test_a_plain_call_of_a_coroutine_function_is_refused(policy: Timeout) -> None:
    call: Callable[..., object] = policy.call
    with pytest.raises(TypeError, match="call_async"):
        call(never)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), True, "2", None])
def test_seconds_that_make_no_sense_are_refused(seconds: Any) -> None:
    with pytest.raises(ConfigurationError, match="seconds is"):
        Timeout(seconds, name="api")


def test_the_error_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(CallTimeoutError("api", 2.0)))
    assert (error.name, error.seconds, str(error)) == ("api", 2.0, "timeout 'api': the call did not end within 2 s.")


# --- signals -------------------------------------------------------------------------------------------------------


def test_a_late_call_is_counted_and_told_but_has_not_failed(
    policy: Timeout, clock: FakeClock, signals: Signals
) -> None:
    policy.call(clock.advance, 3)
    (event,) = signals.events("spanguard.timeout.exceeded")
    (span,) = signals.spans("guard api")
    assert event.attributes["spanguard.timeout.elapsed"] == 3
    assert (span.status, span.attributes["spanguard.timeout.outcome"]) == ("unset", "late")
    assert signals.increase("spanguard.timeout.calls", {"spanguard.timeout.outcome": "late"}) == 1


async def test_a_call_that_timed_out_is_a_failed_span(signals: Signals) -> None:
    with pytest.raises(CallTimeoutError):
        await Timeout(0.01, name="api").call_async(never)
    (span,) = signals.spans("guard api")
    assert span.status == "error"
    assert span.attributes["spanguard.timeout.outcome"] == "timed_out"
    assert span.attributes["error.type"] == "spanguard.error_handling.timeout.CallTimeoutError"


async def test_a_cancelled_call_has_not_failed(policy: Timeout, clock: FakeClock, signals: Signals) -> None:
    call = asyncio.ensure_future(policy.call_async(never))
    await until(lambda: clock.sleeping == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert signals.spans("guard api")[0].status == "unset"


def test_other_seconds_are_for_the_calls_that_begin_after_them(clock: FakeClock) -> None:
    timeout = Timeout(1, name="x", clock=clock)

    def change() -> float | None:
        timeout.seconds = 5
        return remaining()

    assert (timeout.call(change), timeout.call(remaining)) == (1, 5)
    with pytest.raises(ConfigurationError):
        timeout.seconds = 0
    assert timeout.seconds == 5
