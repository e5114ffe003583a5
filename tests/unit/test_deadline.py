"""The deadline: what bounds a block, below it and across processes."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from opentelemetry import baggage, context
from opentelemetry.baggage.propagation import W3CBaggagePropagator

from spanguard import semconv
from spanguard.errors import ConfigurationError, DeadlineExceededError
from spanguard.telemetry.deadline import check_deadline, deadline, received_deadline, remaining
from spanguard.testing import FakeClock


def test_the_time_that_is_left_is_known_inside_and_only_there(clock: FakeClock) -> None:
    assert remaining() is None
    with deadline(5, clock=clock):
        clock.advance(2)
        assert remaining() == 3
    assert remaining() is None


def test_an_inner_deadline_cannot_be_later_than_an_outer_one(clock: FakeClock) -> None:
    with deadline(5, clock=clock):
        with deadline(60, clock=clock):
            assert remaining() == 5
        with deadline(1, clock=clock):
            assert remaining() == 1
        assert remaining() == 5


def test_work_is_refused_once_it_has_passed(clock: FakeClock) -> None:
    with deadline(1, clock=clock):
        check_deadline("the work")
        clock.advance(1)
        assert remaining() == 0
        with pytest.raises(DeadlineExceededError, match="the work"):
            check_deadline("the work")
        with pytest.raises(DeadlineExceededError), deadline(5, clock=clock):
            pytest.fail("a block whose outer deadline has passed must not run")


async def test_it_follows_awaits_new_tasks_and_to_thread_but_not_a_bare_thread(clock: FakeClock) -> None:
    seen: dict[str, float | None] = {}

    async def look() -> float | None:
        return remaining()

    async with deadline(5, clock=clock):
        seen["await"] = await look()
        seen["task"] = await asyncio.create_task(look())
        seen["to_thread"] = await asyncio.to_thread(remaining)
        thread = threading.Thread(target=lambda: seen.update(thread=remaining()))
        thread.start()
        await asyncio.to_thread(thread.join)
    assert seen == {"await": 5, "task": 5, "to_thread": 5, "thread": None}


async def test_tasks_have_deadlines_of_their_own(clock: FakeClock) -> None:
    async def work(seconds: float) -> float | None:
        with deadline(seconds, clock=clock):
            await asyncio.sleep(0)
            return remaining()

    assert list(await asyncio.gather(work(1), work(2), work(3))) == [1, 2, 3]


def test_a_generator_may_leave_the_block_in_another_context(clock: FakeClock) -> None:
    def numbers() -> Generator[int, None, None]:
        with deadline(5, propagate=True, clock=clock):
            yield 1

    iterator = numbers()
    contextvars.copy_context().run(next, iterator)
    iterator.close()
    assert remaining() is None


def test_one_scope_serves_one_block_at_a_time(clock: FakeClock) -> None:
    scope = deadline(5, clock=clock)
    with scope, pytest.raises(RuntimeError, match="in use"):
        scope.__enter__()


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), True, "5", None])
def test_seconds_that_are_none_are_refused(seconds: Any) -> None:
    with pytest.raises(ConfigurationError, match="seconds"):
        deadline(seconds)


def carried(clock: FakeClock, *, propagate: bool) -> dict[str, str]:
    carrier: dict[str, str] = {}
    with deadline(5, propagate=propagate, clock=clock):
        W3CBaggagePropagator().inject(carrier)
    return carrier


def test_it_crosses_processes_in_baggage_only_if_asked_to(clock: FakeClock) -> None:
    assert carried(clock, propagate=False) == {}
    assert carried(clock, propagate=True) == {"baggage": f"{semconv.DEADLINE_BAGGAGE}=1700000005000"}
    assert baggage.get_baggage(semconv.DEADLINE_BAGGAGE) is None


@pytest.fixture
def callee() -> Iterator[Any]:
    """Run as the callee would, with the baggage of a request as the current context."""
    tokens = []

    def receive(carrier: dict[str, str]) -> None:
        tokens.append(context.attach(W3CBaggagePropagator().extract(carrier)))

    yield receive
    for token in reversed(tokens):
        context.detach(token)


def test_the_callee_has_what_is_left_of_the_callers_time(clock: FakeClock, callee: Any) -> None:
    callee(carried(clock, propagate=True))
    clock.advance(2)
    with received_deadline(clock=clock):
        assert remaining() == pytest.approx(3)


def test_the_callee_refuses_what_cannot_finish(clock: FakeClock, callee: Any) -> None:
    callee(carried(clock, propagate=True))
    clock.advance(5)
    with pytest.raises(DeadlineExceededError), received_deadline(clock=clock):
        pytest.fail("work that cannot finish must not begin")


@pytest.mark.parametrize("sent", ["", "soon", "-5", "1e9", "nan", "9" * 400, "\u0661\u0662", "17.5"])
def test_what_cannot_be_read_bounds_nothing(clock: FakeClock, callee: Any, sent: str) -> None:
    tokens = context.attach(baggage.set_baggage(semconv.DEADLINE_BAGGAGE, sent))
    try:
        with received_deadline(clock=clock):
            assert remaining() is None
    finally:
        context.detach(tokens)
