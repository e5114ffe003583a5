"""What failed for good becomes a dead letter, and nothing else does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spanguard import semconv
from spanguard.error_handling import (
    CircuitBreaker,
    CircuitBreakerError,
    DeadLetterQueue,
    FallbackFailedError,
    RetryConfig,
)
from spanguard.errors import ConfigurationError
from spanguard.guard import Guard, guards
from spanguard.telemetry import COUNTS
from spanguard.testing import Signals
from unit.guard.dependency import Dependency, always


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[DeadLetterQueue]:
    made = DeadLetterQueue(f"sqlite:///{tmp_path}/letters.db", "letters")
    yield made
    made.close()


@pytest.fixture
def guarded(queue: DeadLetterQueue) -> Callable[..., Guard]:
    def make(**settings: Any) -> Guard:
        return Guard("orders", dead_letter=queue, dead_letter_payload=lambda number: {"number": number}, **settings)

    return make


def order(number: int) -> str:
    raise ConnectionError(number)


def answer(number: int) -> str:
    return f"order {number}"


def test_a_call_that_failed_for_good_is_kept_with_its_arguments(
    guarded: Callable[..., Guard], queue: DeadLetterQueue
) -> None:
    with pytest.raises(ConnectionError):
        guarded(retry=RetryConfig(3, base_delay=0, max_delay=0)).call(order, 7)
    (letter,) = queue.list()
    assert (letter.operation, letter.payload, letter.attempts, letter.error_type) == (
        "orders",
        {"number": 7},
        3,
        "ConnectionError",
    )


async def test_a_coroutine_that_failed_is_kept_without_blocking_the_loop(
    guarded: Callable[..., Guard], queue: DeadLetterQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    add = queue.add

    def spy(*args: Any, **kwargs: Any) -> int:
        threads.append(threading.current_thread())
        return add(*args, **kwargs)

    monkeypatch.setattr(queue, "add", spy)
    dependency = always(ConnectionError())
    with pytest.raises(ConnectionError):
        await guarded(retry=RetryConfig(2, base_delay=0, max_delay=0)).call_async(dependency.ask, 7)
    (letter,) = await queue.list_async()
    assert (letter.payload, letter.attempts) == ({"number": 7}, 2)
    assert threads != [threading.main_thread()]


def test_a_call_that_succeeded_in_the_end_is_not_kept(guarded: Callable[..., Guard], queue: DeadLetterQueue) -> None:
    guarded(retry=RetryConfig(3, base_delay=0, max_delay=0)).call(Dependency(ConnectionError()), 7)
    assert queue.size() == 0


def test_a_call_that_a_fallback_answered_is_not_kept(guarded: Callable[..., Guard], queue: DeadLetterQueue) -> None:
    assert guarded(fallback="later").call(order, 7) == "later"
    assert queue.size() == 0


def test_a_call_whose_fallback_failed_too_is_kept(guarded: Callable[..., Guard], queue: DeadLetterQueue) -> None:
    with pytest.raises(FallbackFailedError):
        guarded(fallback=order).call(order, 7)
    assert [letter.payload for letter in queue.list()] == [{"number": 7}]


def test_a_call_that_was_refused_is_kept(guarded: Callable[..., Guard], queue: DeadLetterQueue) -> None:
    breaker = CircuitBreaker(name="orders")
    breaker.open()
    with pytest.raises(CircuitBreakerError):
        guarded(circuit_breaker=breaker).call(answer, 7)
    (letter,) = queue.list()
    assert letter.attempts == 1


@pytest.mark.parametrize("error", [TypeError(), AttributeError(), ConfigurationError("x"), NotImplementedError()])
def test_an_error_of_the_program_is_not_kept(
    error: Exception, guarded: Callable[..., Guard], queue: DeadLetterQueue
) -> None:
    with pytest.raises(type(error)):
        guarded().call(always(error), 7)
    assert queue.size() == 0


def test_an_error_of_the_program_is_not_kept_though_a_fallback_failed_too(
    guarded: Callable[..., Guard], queue: DeadLetterQueue
) -> None:
    with pytest.raises(FallbackFailedError):
        guarded(fallback=order).call(always(TypeError()), 7)
    assert queue.size() == 0


def test_a_caller_that_went_away_is_not_kept(guarded: Callable[..., Guard], queue: DeadLetterQueue) -> None:
    def interrupt(number: int) -> None:
        raise KeyboardInterrupt(number)

    with pytest.raises(KeyboardInterrupt):
        guarded().call(interrupt, 7)
    assert queue.size() == 0


def test_the_caller_sees_the_error_of_the_call_if_the_letter_cannot_be_stored(queue: DeadLetterQueue) -> None:
    def lost() -> float:
        return sum(
            value
            for attributes, value in COUNTS.read(semconv.TELEMETRY_ERRORS_METRIC)
            if attributes[semconv.COMPONENT.key] == "guard.dead_letter"
        )

    before = lost()
    guarded = Guard("orders", dead_letter=queue, dead_letter_payload=lambda _: object())
    with pytest.raises(ConnectionError) as raised:
        guarded.call(order, 7)
    assert "the dead letter of this call could not be stored" in raised.value.__notes__[-1]
    assert lost() == before + 1


def test_a_letter_can_have_another_operation_and_be_replayed(
    guarded: Callable[..., Guard], queue: DeadLetterQueue
) -> None:
    done = []
    queue.handler("refund")(lambda letter: done.append(letter.payload))
    with pytest.raises(ConnectionError):
        guarded(dead_letter_operation="refund").call(order, 7)
    assert (queue.replay().replayed, done) == (1, [{"number": 7}])


def test_a_letter_knows_the_trace_that_failed(
    guarded: Callable[..., Guard], queue: DeadLetterQueue, signals: Signals
) -> None:
    with pytest.raises(ConnectionError):
        guarded().call(order, 7)
    (span,) = signals.spans("guard orders")
    (letter,) = queue.list()
    assert (letter.trace_id, letter.span_id) == (span.trace_id, span.span_id)


def test_the_queue_of_a_profile_is_used(tmp_path: Path, load: Callable[[str], None]) -> None:
    load(f'[dead_letters.orders]\nurl = "sqlite:///{tmp_path}/profile.db"\n')
    with pytest.raises(ConnectionError):
        Guard("orders", dead_letter_payload=lambda number: number).call(order, 7)
    assert [letter.payload for letter in guards.dead_letters("orders").list()] == [7]


def test_a_queue_needs_to_know_what_to_keep(queue: DeadLetterQueue) -> None:
    with pytest.raises(ConfigurationError, match="but no dead_letter_payload, so no letter could be replayed"):
        Guard("orders", dead_letter=queue).call(answer, 7)
