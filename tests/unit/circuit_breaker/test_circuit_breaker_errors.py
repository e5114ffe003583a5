"""What a breaker says when it refuses a call or a setting."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pybreaker
import pytest

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
from unit.circuit_breaker.failing import fail, fail_times

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
