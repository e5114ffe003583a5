"""What a breaker makes of each call: what counts, who is told, who is asked."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pybreaker
import pytest

from spanguard import semconv
from spanguard.error_handling import CircuitBreaker, CircuitBreakerError, SlowCall
from spanguard.testing import FakeClock, Signals
from unit.circuit_breaker.failing import fail, fail_times

CALLS = semconv.BREAKER_CALLS_METRIC.name


# --- what counts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError])
def test_what_says_nothing_about_the_dependency_is_ignored(
    make: Callable[..., CircuitBreaker], signals: Signals, error: type[BaseException]
) -> None:
    breaker = make(fail_max=2)
    fail_times(breaker, 1)
    with pytest.raises(error):
        breaker.call(fail, error())
    assert (breaker.fail_counter, breaker.current_state) == (1, "closed")
    assert breaker.stats().ignored == 1


def test_an_interrupted_probe_gives_its_slot_back(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make()
    breaker.half_open()
    with pytest.raises(KeyboardInterrupt):
        breaker.call(fail, KeyboardInterrupt())
    assert breaker.stats().probes_under_way == 0
    assert breaker.call(int) == 0


def test_every_call_counts_once_under_what_became_of_it(
    make: Callable[..., CircuitBreaker], clock: FakeClock, signals: Signals
) -> None:
    breaker = make(fail_max=2, exclude=[KeyError], slow_call=SlowCall(1.0, minimum_calls=50))
    breaker.call(int)
    breaker.call(clock.advance, 1)
    with pytest.raises(KeyError):
        breaker.call(fail, KeyError())
    fail_times(breaker, 3)
    counted = {
        outcome: signals.increase(CALLS, {semconv.POLICY_NAME.key: "api", semconv.BREAKER_OUTCOME.key: outcome})
        for outcome in semconv.BREAKER_OUTCOME.values
    }
    assert counted == {"success": 1, "slow": 1, "ignored": 1, "failure": 2, "rejected": 1}
    stats = breaker.stats()
    assert counted == {outcome: getattr(stats, outcome) for outcome in counted}


def test_failures_are_counted_by_their_type(make: Callable[..., CircuitBreaker], signals: Signals) -> None:
    fail_times(make(), 1)
    wanted = {semconv.BREAKER_OUTCOME.key: "failure", semconv.ERROR_TYPE.key: "TimeoutError"}
    assert signals.increase(CALLS, wanted) == 1


def test_the_status_is_one_for_the_present_state_alone(make: Callable[..., CircuitBreaker], signals: Signals) -> None:
    breaker = make(name="status_of_one")
    breaker.half_open()
    status = {
        point.attributes[semconv.BREAKER_STATE.key]: point.value
        for point in signals.points(semconv.BREAKER_STATUS_METRIC.name)
        if point.attributes[semconv.POLICY_NAME.key] == "status_of_one"
    }
    assert status == {"closed": 0, "open": 0, "half_open": 1}


def test_a_renamed_breaker_counts_under_its_new_name_and_shows_one_status(
    make: Callable[..., CircuitBreaker], signals: Signals
) -> None:
    breaker = make(name="former")
    breaker.name = "latter"
    breaker.call(int)
    gc.collect()
    assert signals.increase(CALLS, {semconv.POLICY_NAME.key: "latter"}) == 1
    assert signals.value(semconv.BREAKER_STATUS_METRIC.name, {semconv.POLICY_NAME.key: "former"}) == 0
    assert signals.value(semconv.BREAKER_STATUS_METRIC.name, {semconv.POLICY_NAME.key: "latter"}) == 1


def test_transitions_are_counted_by_from_and_to(make: Callable[..., CircuitBreaker], signals: Signals) -> None:
    make(name="moves").open()
    wanted = {
        semconv.POLICY_NAME.key: "moves",
        semconv.BREAKER_FROM.key: "closed",
        semconv.BREAKER_TO.key: "open",
    }
    assert signals.increase(semconv.BREAKER_TRANSITIONS_METRIC.name, wanted) == 1


def test_a_dropped_breaker_is_collected_and_its_counts_stay(
    make: Callable[..., CircuitBreaker], signals: Signals
) -> None:
    breaker = make(name="short_lived")
    breaker.call(int)
    reference = weakref.ref(breaker)
    del breaker
    gc.collect()
    assert reference() is None
    assert signals.increase(CALLS, {semconv.POLICY_NAME.key: "short_lived"}) == 1


# --- listeners and predicates --------------------------------------------------------------------------------------


class Saboteur(pybreaker.CircuitBreakerListener):
    def before_call(self, *_: Any, **__: Any) -> None:
        raise RuntimeError

    success = failure = state_change = before_call


def test_a_raising_listener_never_changes_the_outcome(make: Callable[..., CircuitBreaker], signals: Signals) -> None:
    breaker = make(fail_max=2, listeners=[Saboteur()])
    assert breaker.call(int) == 0
    with pytest.raises(TimeoutError):
        breaker.call(fail)
    with pytest.raises(CircuitBreakerError):
        breaker.call(fail)
    assert breaker.current_state == "open"
    wanted = {semconv.COMPONENT.key: "circuit_breaker.listener", semconv.ERROR_TYPE.key: "RuntimeError"}
    assert signals.increase(semconv.TELEMETRY_ERRORS_METRIC.name, wanted) == 7


def test_listeners_run_outside_the_lock(make: Callable[..., CircuitBreaker]) -> None:
    class Curious(pybreaker.CircuitBreakerListener):
        seen: Any = None

        def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
            self.seen = cb.stats().state

    curious = Curious()
    make(listeners=[curious]).open()
    assert curious.seen == "open"


def test_a_raising_predicate_makes_the_error_a_failure(make: Callable[..., CircuitBreaker]) -> None:
    def broken(_: BaseException) -> bool:
        raise RuntimeError

    breaker = make(exclude=[broken])
    with pytest.raises(TimeoutError):
        breaker.call(fail)
    assert breaker.fail_counter == 1
