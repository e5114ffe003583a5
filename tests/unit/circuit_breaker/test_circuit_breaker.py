"""When the breaker moves, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pybreaker
import pytest

from spanguard import semconv
from spanguard.error_handling import CircuitBreaker, CircuitBreakerError, CountWindow, FailureRate, SlowCall, TimeWindow
from spanguard.testing import FakeClock, Signals
from unit.circuit_breaker.failing import fail_times

EVENT = semconv.BREAKER_STATE_CHANGE_EVENT.name


def reasons(signals: Signals) -> list[tuple[Any, Any, Any]]:
    keys = (semconv.BREAKER_FROM.key, semconv.BREAKER_TO.key, semconv.BREAKER_REASON.key)
    return [tuple(event.attributes[key] for key in keys) for event in signals.events(EVENT)]


def last_event(signals: Signals) -> dict[str, Any]:
    return dict(signals.events(EVENT)[-1].attributes)


def test_consecutive_failures_open_it_and_the_event_says_so(
    make: Callable[..., CircuitBreaker], signals: Signals
) -> None:
    fail_times(make(fail_max=3), 3)
    assert last_event(signals) == {
        semconv.POLICY_NAME.key: "api",
        semconv.BREAKER_FROM.key: "closed",
        semconv.BREAKER_TO.key: "open",
        semconv.BREAKER_REASON.key: "consecutive_failures",
        semconv.BREAKER_FAILURES.key: 3,
        semconv.BREAKER_THRESHOLD.key: 3.0,
        semconv.BREAKER_RETRY_AFTER.key: 10.0,
        semconv.ERROR_TYPE.key: "TimeoutError",
    }


def test_a_recovery_is_two_events_with_their_reasons(
    make: Callable[..., CircuitBreaker], clock: FakeClock, signals: Signals
) -> None:
    breaker = make(fail_max=1, success_threshold=2)
    fail_times(breaker, 1)
    clock.advance(10)
    breaker.call(int)
    breaker.call(int)
    assert reasons(signals)[1:] == [
        ("open", "half_open", "reset_timeout_elapsed"),
        ("half_open", "closed", "success_threshold_reached"),
    ]
    assert last_event(signals)[semconv.BREAKER_SUCCESSES.key] == 2


def test_a_failed_probe_opens_it_again(make: Callable[..., CircuitBreaker], clock: FakeClock, signals: Signals) -> None:
    breaker = make(fail_max=5)
    breaker.half_open()
    fail_times(breaker, 1)
    assert reasons(signals)[-1] == ("half_open", "open", "probe_failed")
    assert breaker.stats().retry_after == 10.0


def test_moves_by_hand_are_told_as_such(make: Callable[..., CircuitBreaker], signals: Signals) -> None:
    breaker = make()
    breaker.open()
    breaker.half_open()
    breaker.close()
    assert [reason for _, _, reason in reasons(signals)] == ["manual"] * 3


def test_to_open_an_open_breaker_restarts_its_timeout_and_is_no_move(
    make: Callable[..., CircuitBreaker], clock: FakeClock, signals: Signals
) -> None:
    breaker = make()
    breaker.open()
    clock.advance(6)
    breaker.open()
    assert (breaker.stats().retry_after, len(reasons(signals))) == (10.0, 1)


def test_a_move_of_the_storage_is_told_as_such(make: Callable[..., CircuitBreaker], signals: Signals) -> None:
    storage = pybreaker.CircuitMemoryStorage("closed")
    breaker = make(state_storage=storage)
    storage.state = "half-open"
    breaker.call(int)
    assert reasons(signals)[0] == ("closed", "half_open", "storage")


def test_the_failure_rate_of_the_last_calls_opens_it(make: Callable[..., CircuitBreaker], signals: Signals) -> None:
    breaker = make(fail_max=None, failure_rate=FailureRate(0.5, minimum_calls=4), window=CountWindow(10))
    for _ in range(2):
        breaker.call(int)
        fail_times(breaker, 1)
    event = last_event(signals)
    assert event[semconv.BREAKER_REASON.key] == "failure_rate"
    assert (event[semconv.BREAKER_FAILURES.key], event[semconv.BREAKER_WINDOW_CALLS.key]) == (2, 4)
    assert event[semconv.BREAKER_THRESHOLD.key] == 0.5


def test_below_the_minimum_of_calls_a_rate_means_nothing(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make(fail_max=None, failure_rate=FailureRate(0.5, minimum_calls=4))
    fail_times(breaker, 3)
    assert breaker.current_state == "closed"


def test_a_count_window_forgets_the_oldest_call(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make(fail_max=None, failure_rate=FailureRate(1.0, minimum_calls=3), window=CountWindow(3))
    fail_times(breaker, 2)
    breaker.call(int)
    breaker.call(int)
    assert (breaker.stats().window_calls, breaker.stats().window_failures) == (3, 1)


def test_a_time_window_forgets_what_is_too_old(make: Callable[..., CircuitBreaker], clock: FakeClock) -> None:
    breaker = make(fail_max=None, failure_rate=FailureRate(1.0, minimum_calls=3), window=TimeWindow(10))
    fail_times(breaker, 2)
    clock.advance(5)
    breaker.call(int)
    assert breaker.stats().window_calls == 3
    clock.advance(5.5)
    assert (breaker.stats().window_calls, breaker.stats().window_failures) == (1, 0)


def test_after_it_closed_the_window_is_empty(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make(fail_max=None, failure_rate=FailureRate(0.5, minimum_calls=2))
    fail_times(breaker, 2)
    breaker.close()
    assert breaker.stats().window_calls == 0


def test_slow_calls_open_it_though_they_succeed(
    make: Callable[..., CircuitBreaker], clock: FakeClock, signals: Signals
) -> None:
    breaker = make(slow_call=SlowCall(2.0, rate=1.0, minimum_calls=2))
    breaker.call(clock.advance, 2.0)
    breaker.call(clock.advance, 2.0)
    event = last_event(signals)
    assert event[semconv.BREAKER_REASON.key] == "slow_call_rate"
    assert (event[semconv.BREAKER_WINDOW_SLOW.key], event[semconv.BREAKER_WINDOW_CALLS.key]) == (2, 2)


def test_a_call_below_the_slow_call_duration_is_not_slow(make: Callable[..., CircuitBreaker], clock: FakeClock) -> None:
    breaker = make(slow_call=SlowCall(2.0, minimum_calls=1))
    breaker.call(clock.advance, 1.9)
    assert (breaker.current_state, breaker.stats().slow) == ("closed", 0)


def test_a_slow_probe_opens_it_again_and_its_result_is_given(
    make: Callable[..., CircuitBreaker], clock: FakeClock, signals: Signals
) -> None:
    breaker = make(slow_call=SlowCall(2.0))
    breaker.half_open()

    def answer_late() -> str:
        clock.advance(3)
        return "answer"

    assert breaker.call(answer_late) == "answer"
    assert reasons(signals)[-1] == ("half_open", "open", "probe_slow")


def test_the_reset_timeout_does_not_follow_the_wall_clock(
    make: Callable[..., CircuitBreaker], clock: FakeClock
) -> None:
    breaker = make()
    breaker.open()
    clock.jump_wall_clock(3600)
    with pytest.raises(CircuitBreakerError):
        breaker.call(int)
    clock.jump_wall_clock(-7200)
    clock.advance(10)
    assert breaker.call(int) == 0
