"""Every form of a guarded call: coroutines, blocks, generators, decorated functions, and their spans."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from spanguard import semconv
from spanguard.error_handling import CircuitBreaker, CircuitBreakerError
from spanguard.testing import FakeClock, Signals


@pytest.fixture
def breaker(clock: FakeClock) -> CircuitBreaker:
    return CircuitBreaker(fail_max=2, reset_timeout=10.0, name="api", clock=clock)


async def answer(value: int = 42) -> int:
    await asyncio.sleep(0)
    return value


async def time_out() -> None:
    await asyncio.sleep(0)
    raise TimeoutError


async def test_an_awaited_call_gives_its_result(breaker: CircuitBreaker) -> None:
    assert await breaker.call_async(answer, value=3) == 3
    assert breaker.stats().success == 1


async def test_awaited_failures_open_it(breaker: CircuitBreaker) -> None:
    with pytest.raises(TimeoutError):
        await breaker.call_async(time_out)
    with pytest.raises(CircuitBreakerError):
        await breaker.call_async(time_out)
    with pytest.raises(CircuitBreakerError):
        await breaker.call_async(answer)
    assert (breaker.stats().failure, breaker.stats().rejected) == (2, 1)


async def test_a_cancelled_call_is_no_failure(breaker: CircuitBreaker) -> None:
    started = asyncio.Event()

    async def hang() -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(breaker.call_async(hang))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (breaker.fail_counter, breaker.stats().ignored) == (0, 1)


async def test_a_cancelled_probe_gives_its_slot_back(breaker: CircuitBreaker) -> None:
    breaker.half_open()
    started = asyncio.Event()

    async def hang() -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(breaker.call_async(hang))
    await started.wait()
    with pytest.raises(CircuitBreakerError):
        await breaker.call_async(answer)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await breaker.call_async(answer) == 42


async def test_a_decorated_coroutine_function_stays_one_and_is_guarded(breaker: CircuitBreaker) -> None:
    guarded = breaker(time_out)
    assert inspect.iscoroutinefunction(guarded)
    with pytest.raises(TimeoutError):
        await guarded()
    assert breaker.fail_counter == 1


async def test_a_coroutine_that_a_plain_call_returns_is_guarded_too(breaker: CircuitBreaker) -> None:
    with pytest.raises(TimeoutError):
        await breaker.call(time_out)
    assert breaker.fail_counter == 1


async def test_an_async_block_is_guarded(breaker: CircuitBreaker) -> None:
    async with breaker.calling():
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        async with breaker.calling():
            raise TimeoutError
    assert (breaker.stats().success, breaker.fail_counter) == (1, 1)


def test_a_block_cannot_be_entered_twice_at_once(breaker: CircuitBreaker) -> None:
    block = breaker.calling()
    with block, pytest.raises(RuntimeError, match="under way"):
        block.__enter__()


def test_a_generator_that_is_closed_early_is_no_failure(breaker: CircuitBreaker) -> None:
    @breaker
    def numbers() -> Generator[int, None, None]:
        yield 1
        yield 2

    iterator = numbers()
    next(iterator)
    iterator.close()
    assert (breaker.fail_counter, breaker.stats().ignored) == (0, 1)


def test_a_generator_handles_what_is_thrown_and_returns_its_value(breaker: CircuitBreaker) -> None:
    @breaker
    def forgiving() -> Generator[str, None, str]:
        try:
            yield "first"
        except KeyError:
            yield "handled"
        return "result"

    iterator = forgiving()
    assert next(iterator) == "first"
    assert iterator.throw(KeyError()) == "handled"
    with pytest.raises(StopIteration) as stop:
        next(iterator)
    assert (stop.value.value, breaker.stats().success) == ("result", 1)


def test_a_half_open_breaker_is_held_by_a_generator_until_it_ends(breaker: CircuitBreaker) -> None:
    @breaker
    def numbers() -> Generator[int, None, None]:
        yield 1

    breaker.half_open()
    iterator = numbers()
    next(iterator)
    with pytest.raises(CircuitBreakerError):
        breaker.call(int)
    assert list(iterator) == []
    assert breaker.current_state == "closed"


@pytest.fixture
def echo(breaker: CircuitBreaker) -> Callable[[], AsyncGenerator[Any, Any]]:
    async def iterate() -> AsyncGenerator[Any, Any]:
        try:
            received = yield "ready"
            yield received
        except KeyError:
            yield "handled"

    guarded: Callable[[], AsyncGenerator[Any, Any]] = breaker(iterate)
    return guarded


async def test_an_async_generator_function_stays_one_and_is_guarded(
    breaker: CircuitBreaker, echo: Callable[[], AsyncGenerator[Any, Any]]
) -> None:
    assert inspect.isasyncgenfunction(echo)
    assert [item async for item in echo()] == ["ready", None]
    assert breaker.stats().success == 1


async def test_an_async_generator_takes_what_is_sent_and_thrown(
    breaker: CircuitBreaker, echo: Callable[[], AsyncGenerator[Any, Any]]
) -> None:
    iterator = echo()
    assert (await anext(iterator), await iterator.asend("ping")) == ("ready", "ping")
    assert await iterator.athrow(KeyError()) == "handled"


async def test_an_async_generator_that_is_closed_early_is_no_failure(
    breaker: CircuitBreaker, echo: Callable[[], AsyncGenerator[Any, Any]]
) -> None:
    iterator = echo()
    await anext(iterator)
    await iterator.aclose()
    assert (breaker.fail_counter, breaker.stats().ignored) == (0, 1)


async def test_an_async_generator_that_raises_is_a_failure(breaker: CircuitBreaker) -> None:
    @breaker
    async def broken() -> AsyncGenerator[int, None]:
        yield 1
        raise TimeoutError

    with pytest.raises(TimeoutError):
        assert [item async for item in broken()]
    assert breaker.fail_counter == 1


async def test_an_async_generator_of_an_open_breaker_is_refused(
    breaker: CircuitBreaker, echo: Callable[[], AsyncGenerator[Any, Any]]
) -> None:
    breaker.open()
    with pytest.raises(CircuitBreakerError):
        await anext(echo())


# --- spans ---------------------------------------------------------------------------------------------------------


def test_a_call_makes_one_span_in_which_it_runs(breaker: CircuitBreaker, signals: Signals) -> None:
    def work() -> None:
        trace.get_tracer("test").start_span("inner").end()

    breaker.call(work)
    inner, guard = signals.spans()
    assert (guard.name, guard.status, inner.parent_id) == ("guard api", "unset", guard.span_id)
    assert guard.attributes == {
        semconv.POLICY_NAME.key: "api",
        semconv.OUTCOME.key: "success",
        semconv.BREAKER_STATE.key: "closed",
        semconv.BREAKER_OUTCOME.key: "success",
    }


def test_a_failed_call_fails_its_span_and_its_event_is_in_the_trace(breaker: CircuitBreaker, signals: Signals) -> None:
    breaker.fail_max = 1
    with pytest.raises(CircuitBreakerError):
        breaker.call({}.__getitem__, "secret")
    (span,) = signals.spans()
    (event,) = signals.events()
    assert (span.status, span.attributes[semconv.ERROR_TYPE.key]) == ("error", "KeyError")
    assert (event.trace_id, event.span_id) == (span.trace_id, span.span_id)


def test_a_refused_call_fails_its_span_and_says_when_to_return(breaker: CircuitBreaker, signals: Signals) -> None:
    breaker.open()
    with pytest.raises(CircuitBreakerError):
        breaker.call(int)
    (span,) = signals.spans()
    assert span.status == "error"
    assert span.attributes[semconv.OUTCOME.key] == span.attributes[semconv.BREAKER_OUTCOME.key] == "rejected"
    assert span.attributes[semconv.BREAKER_STATE.key] == "open"
    assert span.attributes[semconv.BREAKER_RETRY_AFTER.key] == 10.0


def test_a_probe_says_so_on_its_span(breaker: CircuitBreaker, signals: Signals) -> None:
    breaker.half_open()
    breaker.call(int)
    (span,) = signals.spans()
    assert span.attributes[semconv.BREAKER_STATE.key] == "half_open"


async def test_a_cancelled_call_does_not_fail_its_span(breaker: CircuitBreaker, signals: Signals) -> None:
    with pytest.raises(asyncio.CancelledError):
        async with breaker.calling():
            raise asyncio.CancelledError
    (span,) = signals.spans()
    assert (span.status, span.attributes[semconv.BREAKER_OUTCOME.key]) == ("unset", "ignored")


def test_a_generators_span_is_current_inside_it_alone(breaker: CircuitBreaker, signals: Signals) -> None:
    def trace_inside() -> Generator[str, None, None]:
        yield trace.get_current_span().get_span_context().span_id.to_bytes(8).hex()

    outside = trace.get_current_span()
    iterator = breaker.call(trace_inside)
    inside = next(iterator)
    assert trace.get_current_span() is outside
    assert list(iterator) == []
    (span,) = signals.spans()
    assert span.span_id == inside


async def test_an_async_generators_span_is_current_inside_it_alone(breaker: CircuitBreaker, signals: Signals) -> None:
    @breaker
    async def trace_inside() -> AsyncGenerator[str, None]:
        yield trace.get_current_span().get_span_context().span_id.to_bytes(8).hex()

    outside = trace.get_current_span()
    iterator = trace_inside()
    inside = await anext(iterator)
    assert trace.get_current_span() is outside
    assert [item async for item in iterator] == []
    (span,) = signals.spans()
    assert span.span_id == inside


def test_a_block_may_be_left_in_another_context_than_it_was_entered_in(
    breaker: CircuitBreaker, signals: Signals, caplog: pytest.LogCaptureFixture
) -> None:
    block = breaker.calling()
    contextvars.copy_context().run(block.__enter__)
    block.__exit__(None, None, None)
    (span,) = signals.spans()
    assert (span.attributes[semconv.OUTCOME.key], caplog.records) == ("success", [])


def test_stacked_breakers_share_one_span(breaker: CircuitBreaker, clock: FakeClock, signals: Signals) -> None:
    outer = CircuitBreaker(name="outer", clock=clock)

    @outer
    @breaker
    def guarded() -> int:
        return 1

    assert guarded() == 1
    assert [span.name for span in signals.spans()] == ["guard outer"]


def test_under_an_unsampled_parent_there_is_no_span_and_every_call_counts(
    breaker: CircuitBreaker, signals: Signals
) -> None:
    unsampled = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("test").start_span("parent")
    with trace.use_span(unsampled):
        breaker.call(int)
    assert (signals.spans(), breaker.stats().success) == ([], 1)
