# mypy: disable-error-code="untyped-decorator"
# pybreaker's own decorators are untyped.
"""What the plugin makes of an application's own pybreaker objects."""

from __future__ import annotations

import gc
from collections.abc import Generator
from typing import Any

import pybreaker
import pytest

from spanguard import semconv
from spanguard.error_handling import CircuitBreaker
from spanguard.instrumentation.pybreaker import PybreakerInstrumentor
from spanguard.testing import Signals
from unit.pybreaker_plugin.theirs import CALLS, EVENT, NEVER, attempt, counted, reasons, status


def test_each_call_counts_once_under_its_outcome(breaker: pybreaker.CircuitBreaker, signals: Signals) -> None:
    breaker.call(int)
    attempt(breaker, {}.popitem)
    attempt(breaker, times=3)
    assert counted(signals) == {"success": 1, "ignored": 1, "failure": 2, "rejected": 1}


def test_failures_carry_their_type(breaker: pybreaker.CircuitBreaker, signals: Signals) -> None:
    attempt(breaker)
    assert signals.increase(CALLS, {semconv.ERROR_TYPE.key: "TimeoutError"}) == 1


def test_a_trip_is_one_event_that_says_why(breaker: pybreaker.CircuitBreaker, signals: Signals) -> None:
    attempt(breaker, times=2)
    (event,) = signals.events(EVENT)
    assert dict(event.attributes) == {
        semconv.POLICY_NAME.key: "theirs",
        semconv.BREAKER_FROM.key: "closed",
        semconv.BREAKER_TO.key: "open",
        semconv.BREAKER_REASON.key: "consecutive_failures",
        semconv.BREAKER_FAILURES.key: 2,
        semconv.BREAKER_THRESHOLD.key: 2.0,
        semconv.BREAKER_RETRY_AFTER.key: NEVER,
        semconv.ERROR_TYPE.key: "TimeoutError",
    }


def test_a_recovery_has_its_reasons(breaker: pybreaker.CircuitBreaker, signals: Signals) -> None:
    breaker.open()
    breaker.reset_timeout = 0
    attempt(breaker)
    breaker.call(int)
    assert reasons(signals) == [
        ("closed", "open", "manual"),
        ("open", "half_open", "reset_timeout_elapsed"),
        ("half_open", "open", "probe_failed"),
        ("open", "half_open", "reset_timeout_elapsed"),
        ("half_open", "closed", "success_threshold_reached"),
    ]


def test_a_move_by_hand_inside_a_probe_is_told_as_such(breaker: pybreaker.CircuitBreaker, signals: Signals) -> None:
    breaker.open()
    breaker.reset_timeout = 0
    breaker.call(breaker.open)
    assert reasons(signals)[1:3] == [("open", "half_open", "reset_timeout_elapsed"), ("half_open", "open", "manual")]


def test_a_second_half_opening_inside_a_probe_has_its_own_reason(
    breaker: pybreaker.CircuitBreaker, signals: Signals
) -> None:
    def close_and_half_open() -> None:
        breaker.close()
        breaker.half_open()

    breaker.open()
    breaker.reset_timeout = 0
    breaker.call(close_and_half_open)
    assert reasons(signals)[1:4] == [
        ("open", "half_open", "reset_timeout_elapsed"),
        ("half_open", "closed", "manual"),
        ("closed", "half_open", "manual"),
    ]


def test_a_move_of_the_storage_is_told_as_such(plugin: PybreakerInstrumentor, signals: Signals) -> None:
    storage = pybreaker.CircuitMemoryStorage("closed")
    breaker = pybreaker.CircuitBreaker(state_storage=storage)
    storage.state = "half-open"
    breaker.call(int)
    assert reasons(signals)[0] == ("closed", "half_open", "storage")


def test_a_raising_listener_makes_one_event_of_one_move(breaker: pybreaker.CircuitBreaker, signals: Signals) -> None:
    class Saboteur(pybreaker.CircuitBreakerListener):
        def state_change(self, *_: Any) -> None:
            raise RuntimeError

    breaker.add_listener(Saboteur())
    for _ in range(3):
        with pytest.raises(RuntimeError):
            breaker.open()
    assert reasons(signals) == [("closed", "open", "manual")]


def test_a_call_that_a_listener_makes_is_not_taken_for_the_error(
    breaker: pybreaker.CircuitBreaker, signals: Signals
) -> None:
    class Eager(pybreaker.CircuitBreakerListener):
        def failure(self, cb: Any, exc: BaseException) -> None:
            cb.call(int)

    breaker.add_listener(Eager())
    attempt(breaker)
    assert counted(signals) == {"failure": 1, "success": 1}


def test_generators_and_blocks_count(breaker: pybreaker.CircuitBreaker, signals: Signals) -> None:
    @breaker
    def numbers() -> Generator[int, None, None]:
        yield 1

    assert list(numbers()) == [1]
    with pytest.raises(TimeoutError), breaker.calling():
        raise TimeoutError
    assert counted(signals) == {"success": 1, "failure": 1}


def test_a_breaker_error_from_inside_a_probe_is_no_rejection(
    breaker: pybreaker.CircuitBreaker, signals: Signals
) -> None:
    def nested() -> None:
        raise pybreaker.CircuitBreakerError

    breaker.open()
    breaker.reset_timeout = 0
    attempt(breaker, nested)
    assert counted(signals) == {"failure": 1}


def test_breakers_from_before_and_subclasses_are_covered(signals: Signals) -> None:
    class Own(pybreaker.CircuitBreaker):
        def call(self, func: Any, *args: Any, **kwargs: Any) -> Any:
            return super().call(func, *args, **kwargs)

    before = Own(name="from_before")
    PybreakerInstrumentor().instrument()
    try:
        assert status(signals, "from_before") == {"closed": 1}
        before.call(int)
        assert counted(signals, "from_before") == {"success": 1}
    finally:
        PybreakerInstrumentor().uninstrument()


def test_a_subclass_that_never_calls_our_constructor_is_met_at_its_first_call(
    plugin: PybreakerInstrumentor, signals: Signals
) -> None:
    class Late(pybreaker.CircuitBreaker):
        def __init__(self) -> None:
            vars(self).update(vars(pybreaker.CircuitBreaker.__new__(pybreaker.CircuitBreaker)))
            pybreaker.CircuitBreaker.__init__.__wrapped__(self, name="late")  # type: ignore[attr-defined]

    Late().call(int)
    assert counted(signals, "late") == {"success": 1}


def test_a_breaker_without_a_name_is_unnamed(plugin: PybreakerInstrumentor, signals: Signals) -> None:
    pybreaker.CircuitBreaker().call(int)
    assert counted(signals, "unnamed") == {"success": 1}


def test_a_renamed_breaker_counts_under_its_new_name(plugin: PybreakerInstrumentor, signals: Signals) -> None:
    breaker = pybreaker.CircuitBreaker(name="formerly_named")
    breaker.call(int)
    breaker.name = "newly_named"
    breaker.call(int)
    assert (counted(signals, "formerly_named"), counted(signals, "newly_named")) == ({"success": 1}, {"success": 1})
    assert (status(signals, "formerly_named"), status(signals, "newly_named")) == ({}, {"closed": 1})


def test_the_own_breaker_is_not_counted_twice(plugin: PybreakerInstrumentor, signals: Signals) -> None:
    own = CircuitBreaker(name="own", fail_max=1)
    own.call(int)
    attempt(own)
    own.close()
    assert counted(signals, "own") == {"success": 1, "failure": 1}
    assert status(signals, "own") == {"closed": 1}
    assert len(reasons(signals)) == 2


def test_the_status_follows_the_state_and_ends_with_the_breaker(
    plugin: PybreakerInstrumentor, signals: Signals
) -> None:
    breaker = pybreaker.CircuitBreaker(name="mortal")
    breaker.open()
    assert status(signals, "mortal") == {"open": 1}
    del breaker
    gc.collect()
    assert status(signals, "mortal") == {}
