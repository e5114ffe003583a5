"""When the breaker moves, why, and what it tells about it."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pybreaker
import pytest

from spanguard import semconv
from spanguard.error_handling import (
    BreakerSettings,
    CircuitBreaker,
    CircuitBreakerError,
    CountWindow,
    FailureRate,
    SlowCall,
    TimeWindow,
)
from spanguard.errors import ConfigurationError, SpanguardError
from spanguard.testing import FakeClock, Signals

CALLS = semconv.BREAKER_CALLS_METRIC.name
EVENT = semconv.BREAKER_STATE_CHANGE_EVENT.name


def fail(error: BaseException | None = None) -> None:
    raise error or TimeoutError("the customer's secret")


def fail_times(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        with pytest.raises((TimeoutError, CircuitBreakerError)):
            breaker.call(fail)


@pytest.fixture
def make(clock: FakeClock) -> Callable[..., CircuitBreaker]:
    def build(**settings: Any) -> CircuitBreaker:
        return CircuitBreaker(**{"name": "api", "clock": clock, "reset_timeout": 10.0, **settings})

    return build


def reasons(signals: Signals) -> list[tuple[Any, Any, Any]]:
    keys = (semconv.BREAKER_FROM.key, semconv.BREAKER_TO.key, semconv.BREAKER_REASON.key)
    return [tuple(event.attributes[key] for key in keys) for event in signals.events(EVENT)]


def last_event(signals: Signals) -> dict[str, Any]:
    return dict(signals.events(EVENT)[-1].attributes)


# --- why it moves --------------------------------------------------------------------------------------------------


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


def test_a_storage_that_raises_leaves_the_breaker_to_itself(make: Callable[..., CircuitBreaker]) -> None:
    class Dying(pybreaker.CircuitMemoryStorage):
        dead = False

        def increment_counter(self) -> None:
            if self.dead:
                raise ConnectionError
            super().increment_counter()

    storage = Dying("closed")
    breaker = make(fail_max=2, state_storage=storage)
    storage.dead = True
    fail_times(breaker, 2)
    assert breaker.current_state == "open"


@pytest.mark.parametrize(("opened_ago", "retry_after"), [(6, 4.0), (3600, 0.0), (-3600, 10.0)])
def test_a_stored_opening_is_a_time_of_day_and_not_trusted_to_be_past(
    make: Callable[..., CircuitBreaker], clock: FakeClock, opened_ago: float, retry_after: float
) -> None:
    storage = pybreaker.CircuitMemoryStorage("open")
    storage.opened_at = datetime.fromtimestamp(clock.time() - opened_ago, UTC)
    assert make(state_storage=storage).stats().retry_after == pytest.approx(retry_after)


def test_a_breaker_that_moves_writes_the_time_of_day(make: Callable[..., CircuitBreaker], clock: FakeClock) -> None:
    storage = pybreaker.CircuitMemoryStorage("closed")
    make(state_storage=storage).open()
    assert (storage.state, storage.opened_at) == ("open", datetime.fromtimestamp(clock.time(), UTC))


def test_what_was_read_before_the_breaker_moved_is_not_taken_over(make: Callable[..., CircuitBreaker]) -> None:
    class Overtaken(pybreaker.CircuitMemoryStorage):
        meanwhile: Callable[[], Any] | None = None

        @property
        def state(self) -> str:
            read, meanwhile, self.meanwhile = self._state, self.meanwhile, None
            if meanwhile is not None:
                meanwhile()
            return read

        @state.setter
        def state(self, state: str) -> None:
            self._state = state

    storage = Overtaken("closed")
    breaker = make(state_storage=storage)
    storage.meanwhile = breaker.open
    with pytest.raises(CircuitBreakerError):
        breaker.call(int)


# --- its error -----------------------------------------------------------------------------------------------------


def test_a_refusal_tells_who_what_and_until_when(make: Callable[..., CircuitBreaker], clock: FakeClock) -> None:
    breaker = make(fail_max=1)
    fail_times(breaker, 1)
    clock.advance(4)
    with pytest.raises(CircuitBreakerError) as caught:
        breaker.call(int)
    error = caught.value
    assert (error.name, error.state, error.retry_after, error.last_error_type) == ("api", "open", 6.0, "TimeoutError")
    assert isinstance(error.last_error, TimeoutError)
    assert isinstance(error, SpanguardError)
    assert isinstance(error, pybreaker.CircuitBreakerError)
    assert "'api' is open" in str(error)
    assert "6 s" in str(error)


def test_the_error_of_a_trip_comes_from_the_failure(make: Callable[..., CircuitBreaker]) -> None:
    failure = TimeoutError()
    with pytest.raises(CircuitBreakerError) as caught:
        make(fail_max=1).call(fail, failure)
    assert caught.value.__cause__ is failure
    assert (caught.value.last_error, caught.value.retry_after) == (failure, 10.0)


def test_a_closed_breaker_has_forgotten_the_last_error(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make(fail_max=1)
    fail_times(breaker, 1)
    assert breaker.stats().last_error_type == "TimeoutError"
    breaker.close()
    assert breaker.stats().last_error_type is None


def test_no_text_holds_the_failures_message(make: Callable[..., CircuitBreaker], signals: Signals) -> None:
    breaker = make(fail_max=1)
    with pytest.raises(CircuitBreakerError) as caught:
        breaker.call(fail)
    seen = [str(caught.value), repr(caught.value), repr(breaker), repr(breaker.stats())]
    seen += [event.body + repr(event.attributes) for event in signals.events()]
    seen += [repr(span.attributes) for span in signals.spans()]
    assert not [text for text in seen if "secret" in text]


def test_the_error_survives_pickling_and_copying_without_the_failure_itself() -> None:
    error = CircuitBreakerError("api", "open", 2.5, last_error=TimeoutError())
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (twin.name, twin.state, twin.retry_after, twin.last_error_type) == ("api", "open", 2.5, "TimeoutError")
        assert str(twin) == str(error)
        assert twin.last_error is None


def test_settings_survive_pickling() -> None:
    settings = BreakerSettings(failure_rate=FailureRate(), slow_call=SlowCall(1.0), window=TimeWindow())
    assert pickle.loads(pickle.dumps(settings)) == settings


# --- its settings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"fail_max": 0}, "fail_max is 0"),
        ({"fail_max": True}, "fail_max is True"),
        ({"fail_max": None}, "would never open"),
        ({"reset_timeout": -1}, "reset_timeout is -1"),
        ({"reset_timeout": float("nan")}, "reset_timeout is nan"),
        ({"reset_timeout": "60"}, "reset_timeout is '60'"),
        ({"success_threshold": 0}, "success_threshold is 0"),
        ({"half_open_max_calls": 0}, "half_open_max_calls is 0"),
        ({"probe_lease": 0}, "probe_lease is 0"),
        ({"failure_rate": FailureRate(1.1)}, "failure_rate.threshold is 1.1"),
        ({"failure_rate": FailureRate(minimum_calls=0)}, "failure_rate.minimum_calls is 0"),
        ({"slow_call": SlowCall(0)}, "slow_call.duration is 0"),
        ({"slow_call": SlowCall(1, rate=0)}, "slow_call.rate is 0"),
        ({"window": CountWindow(10)}, "neither failure_rate nor slow_call"),
        ({"failure_rate": FailureRate(), "window": CountWindow(0)}, "window.size is 0"),
        ({"failure_rate": FailureRate(), "window": TimeWindow(0)}, "window.seconds is 0"),
        ({"failure_rate": FailureRate(minimum_calls=20), "window": CountWindow(10)}, "holds 10 calls"),
        ({"slow_call": SlowCall(90)}, "no probe could be slow"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_and_value(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match="circuit breaker 'api'") as caught:
        CircuitBreaker(name="api", **settings)
    assert words in str(caught.value)


def test_all_problems_are_in_one_message() -> None:
    with pytest.raises(ConfigurationError) as caught:
        CircuitBreaker(fail_max=0, reset_timeout=-1, window=CountWindow(5))
    assert len(caught.value.problems) == 3


def test_a_setting_changed_to_nonsense_is_refused_and_stays(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make(fail_max=4)
    with pytest.raises(ConfigurationError):
        breaker.fail_max = 0
    assert (breaker.fail_max, breaker.settings.fail_max) == (4, 4)
