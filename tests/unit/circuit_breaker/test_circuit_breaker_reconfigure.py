"""Other settings while calls run: the state, the counts and the window stay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from spanguard.error_handling import (
    BreakerSettings,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerRegistry,
    CountWindow,
    FailureRate,
    SlowCall,
    TimeWindow,
)
from spanguard.errors import ConfigurationError
from spanguard.testing import FakeClock
from unit.circuit_breaker.failing import fail_times


def change(breaker: CircuitBreaker, **changes: Any) -> None:
    breaker.reconfigure(replace(breaker.settings, **changes))


def test_failures_in_a_row_are_kept(clock: FakeClock) -> None:
    breaker = CircuitBreaker(5, clock=clock)
    fail_times(breaker, 2)
    change(breaker, fail_max=3)
    fail_times(breaker, 1)
    assert breaker.current_state == "open"


def test_an_open_breaker_stays_open_for_the_new_time(clock: FakeClock) -> None:
    breaker = CircuitBreaker(1, 60, clock=clock)
    fail_times(breaker, 1)
    clock.advance(20)
    change(breaker, reset_timeout=30)
    assert breaker.stats().retry_after == 10


def test_probes_that_are_under_way_count_against_a_new_cap(clock: FakeClock) -> None:
    breaker = CircuitBreaker(1, 0, clock=clock)
    fail_times(breaker, 1)
    with breaker.calling():
        change(breaker, half_open_max_calls=2)
        with breaker.calling(), pytest.raises(CircuitBreakerError):
            breaker.call(int)


def test_a_window_of_calls_keeps_the_last_ones_that_fit(clock: FakeClock) -> None:
    breaker = CircuitBreaker(None, failure_rate=FailureRate(1, 3), window=CountWindow(4), clock=clock)
    breaker.call(int)
    breaker.call(int)
    fail_times(breaker, 2)
    change(breaker, window=CountWindow(3))
    stats = breaker.stats()
    assert (stats.window_calls, stats.window_failures) == (3, 2)
    fail_times(breaker, 1)
    assert breaker.current_state == "open"


def test_a_window_of_seconds_keeps_what_is_young_enough(clock: FakeClock) -> None:
    breaker = CircuitBreaker(None, failure_rate=FailureRate(1, 100), window=TimeWindow(100), clock=clock)
    fail_times(breaker, 2)
    clock.advance(50)
    fail_times(breaker, 3)
    change(breaker, window=TimeWindow(20))
    assert breaker.stats().window_failures == 3
    change(breaker, window=TimeWindow(100))
    assert breaker.stats().window_calls == 3


def test_a_window_of_another_kind_begins_empty(clock: FakeClock) -> None:
    breaker = CircuitBreaker(None, failure_rate=FailureRate(1, 100), window=TimeWindow(100), clock=clock)
    fail_times(breaker, 2)
    change(breaker, window=CountWindow(100))
    assert breaker.stats().window_calls == 0


def test_a_window_that_stays_the_same_keeps_all(clock: FakeClock) -> None:
    breaker = CircuitBreaker(None, failure_rate=FailureRate(1, 3), clock=clock)
    fail_times(breaker, 2)
    change(breaker, failure_rate=FailureRate(0.7, 3))
    breaker.call(int)
    assert breaker.current_state == "closed"
    fail_times(breaker, 1)
    assert breaker.current_state == "open"


def test_a_rate_can_be_added_and_taken_away(clock: FakeClock) -> None:
    breaker = CircuitBreaker(5, clock=clock)
    change(breaker, slow_call=SlowCall(1, minimum_calls=1))
    breaker.call(clock.advance, 2)
    assert breaker.current_state == "open"
    breaker.close()
    change(breaker, slow_call=None)
    assert breaker._machine.door is not None  # the quick way is there again
    breaker.call(clock.advance, 2)
    assert breaker.current_state == "closed"
    fail_times(breaker, 5)
    assert breaker.current_state == "open"


def test_a_call_that_began_before_a_rate_was_added_ends_well(clock: FakeClock) -> None:
    breaker = CircuitBreaker(2, clock=clock)

    def add_a_rate() -> None:
        change(breaker, failure_rate=FailureRate(1, 2))

    breaker.call(add_a_rate)
    assert breaker.stats().success == 1
    fail_times(breaker, 2)
    assert breaker.current_state == "open"


def test_settings_that_are_wrong_change_nothing() -> None:
    breaker = CircuitBreaker(2, 10, name="x")
    with pytest.raises(ConfigurationError) as raised:
        breaker.reconfigure(BreakerSettings(fail_max=0, reset_timeout=-1))
    assert len(raised.value.problems) == 2
    assert (breaker.fail_max, breaker.reset_timeout) == (2, 10)


def test_a_breaker_that_is_removed_is_declared_no_more() -> None:
    registry = CircuitBreakerRegistry()
    registry.configure("a", fail_max=2)
    registry.remove("a")
    registry.remove("a")
    assert registry.look_up("a") is None
    assert registry.get("b").name == "b"
