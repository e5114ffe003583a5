"""Nonsense is refused with the names and the numbers of it, all at once, and nothing is set up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spanguard.error_handling import (
    Bulkhead,
    BulkheadFullError,
    CallTimeoutError,
    CircuitBreaker,
    CircuitBreakerError,
    FailureRate,
    FallbackValue,
    RetryConfig,
    SlowCall,
    TimeWindow,
    circuit_breakers,
)
from spanguard.errors import ConfigurationError
from spanguard.guard import Guard, guards
from spanguard.guard.outline import breaker_window, retry_window
from spanguard.rate_limiter import RateLimitExceededError, TokenBucketLimiter, rate_limit_manager


def problem_of(**settings: Any) -> str:
    with pytest.raises(ConfigurationError) as raised:
        Guard("x", **settings).call(int)
    (problem,) = raised.value.problems
    return problem


def test_a_guard_without_any_policy_is_refused_and_the_call_is_not_made() -> None:
    made: list[int] = []
    with pytest.raises(
        ConfigurationError, match=r"guard 'x': it has no policy, so its calls would be unprotected; add"
    ):
        Guard("x").call(made.append, 1)
    assert made == []


def test_a_timeout_of_an_attempt_must_be_below_the_deadline() -> None:
    assert "timeout of an attempt is 5 s, but the deadline of the whole call is 5 s" in problem_of(
        timeout=5, deadline=5
    )


def test_a_timeout_of_an_attempt_must_be_below_that_of_the_retry() -> None:
    problem = problem_of(timeout=5, retry=RetryConfig(timeout=4))
    assert "an attempt is 5 s, but the retry begins no further one after 4 s" in problem


def test_a_timeout_of_the_retry_must_not_be_above_the_deadline() -> None:
    assert "timeout of the retry is 9 s, but the deadline" in problem_of(retry=RetryConfig(timeout=9), deadline=5)


def test_retries_must_not_outlive_the_open_breaker() -> None:
    problem = problem_of(
        retry=RetryConfig(5, base_delay=10, max_delay=30), circuit_breaker=CircuitBreaker(5, 60, name="x")
    )
    assert "the retries of one call can go on for 90 s" in problem
    assert "(reset_timeout = 60 s)" in problem


def test_retries_must_not_outlive_the_window_of_the_breaker() -> None:
    breaker = CircuitBreaker(5, 600, name="x", failure_rate=FailureRate(), window=TimeWindow(20))
    problem = problem_of(retry=RetryConfig(5, base_delay=10, max_delay=30), circuit_breaker=breaker)
    assert "(window = 20 s)" in problem


@pytest.mark.parametrize(
    "bound", [{"deadline": 50}, {"retry": RetryConfig(5, base_delay=10, max_delay=30, timeout=50)}]
)
def test_retries_that_are_bounded_in_time_do_not_outlive_the_breaker(bound: dict[str, Any]) -> None:
    retry = RetryConfig(5, base_delay=10, max_delay=30)
    guarded = Guard("x", **{"retry": retry, "circuit_breaker": CircuitBreaker(5, 60, name="x"), **bound})
    assert guarded.call(int) == 0


@pytest.mark.parametrize(
    ("config", "seconds"),
    [
        (RetryConfig(), 0.3),
        (RetryConfig(1), 0),
        (RetryConfig(4, base_delay=1, max_delay=3), 1 + 2 + 3),
        (RetryConfig(4, base_delay=2, multiplier=1), 6),
        (RetryConfig(4, base_delay=1, jitter="decorrelated"), 1 + 3 + 9),
        (RetryConfig(None, base_delay=1, timeout=7), 7),
        (RetryConfig(None, base_delay=0, timeout=7), 7),
        (RetryConfig(10**9, base_delay=0), 0),
        (RetryConfig(10**9, base_delay=1, max_delay=2), 1 + 2 * (10**9 - 2)),
        (RetryConfig(6, base_delay=1, max_delay=3, multiplier=1.5), 1 + 1.5 + 2.25 + 3 + 3),
        (RetryConfig(10**9, base_delay=1e-9, max_delay=1e300, multiplier=1.001, timeout=3), 3),
    ],
)
def test_the_window_of_a_retry_is_the_sum_of_its_longest_waits(config: RetryConfig, seconds: float) -> None:
    assert retry_window(config) == pytest.approx(seconds)


def test_a_window_of_calls_does_not_bound_the_time_that_a_breaker_remembers() -> None:
    assert breaker_window(CircuitBreaker(failure_rate=FailureRate()).settings) == ("reset_timeout", 60)


def test_a_wait_for_the_limiter_must_be_below_the_deadline() -> None:
    limiter = TokenBucketLimiter(1, 1, name="x")
    assert "max_wait is 5 s, but the deadline" in problem_of(rate_limiter=limiter, max_wait=5, deadline=5)


def test_a_wait_for_the_limiter_needs_one() -> None:
    assert "there is no rate limiter to wait for" in problem_of(timeout=1, max_wait=5)


def test_a_wait_in_the_queue_of_the_bulkhead_must_be_below_the_deadline() -> None:
    bulkhead = Bulkhead(1, queue=1, max_wait=6, name="x")
    assert "max_wait of the bulkhead is 6 s" in problem_of(bulkhead=bulkhead, deadline=5)


def test_a_budget_needs_a_second_attempt() -> None:
    assert "its budget would never be used" in problem_of(retry=RetryConfig(1, budget="shared"))


def test_a_slow_call_must_be_possible_within_the_timeout() -> None:
    breaker = CircuitBreaker(name="x", slow_call=SlowCall(5))
    assert "slow_call.duration of the circuit breaker is 5 s" in problem_of(circuit_breaker=breaker, timeout=5)


def test_a_probe_must_not_be_lost_before_its_timeout() -> None:
    assert "probe_lease = 60 s" in problem_of(circuit_breaker=CircuitBreaker(name="x"), timeout=61)


@pytest.mark.parametrize(
    ("error", "missing"),
    [
        (CircuitBreakerError, "circuit breaker"),
        (BulkheadFullError, "bulkhead"),
        (RateLimitExceededError, "rate limiter"),
    ],
)
def test_a_fallback_for_what_nothing_raises_is_refused(error: type[Exception], missing: str) -> None:
    problem = problem_of(timeout=5, fallback=FallbackValue(0, on=error))
    assert f"there is no {missing} that raises {error.__name__}" in problem


def test_a_fallback_for_a_timeout_needs_one() -> None:
    limiter = TokenBucketLimiter(1, 1, name="x")
    assert "no timeout or deadline" in problem_of(rate_limiter=limiter, fallback=FallbackValue(0, on=CallTimeoutError))


def test_a_fallback_for_what_a_policy_raises_is_accepted() -> None:
    fallback = FallbackValue(0, on=(CircuitBreakerError, BulkheadFullError))
    assert Guard("x", circuit_breaker=CircuitBreaker(name="x"), fallback=fallback).call(str) == ""


def test_retry_on_needs_a_retry() -> None:
    assert "retry_on is given, but there is no retry" in problem_of(timeout=5, retry_on=OSError)


def test_exclude_needs_a_breaker() -> None:
    assert "exclude is given, but there is no circuit breaker" in problem_of(timeout=5, exclude=[KeyError])


def test_settings_of_the_code_that_are_no_policies_are_all_named() -> None:
    with pytest.raises(ConfigurationError) as raised:
        Guard("x", bulkhead=3, deadline=-1, max_wait=float("nan"), timeout=0, retry_on=3)  # type: ignore[arg-type]
    message = str(raised.value)
    assert message.startswith("4 problems")
    for named in ("deadline is -1", "max_wait is nan", "seconds is 0", "retry_on is 3"):
        assert named in message


def test_a_policy_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="bulkhead is int; it must be a Bulkhead, the name of one, or None"):
        Guard("x", bulkhead=3)  # type: ignore[arg-type]


def test_a_generator_function_is_refused() -> None:
    def numbers() -> Any:
        yield 1

    with pytest.raises(ConfigurationError, match="a generator"):
        Guard("x", timeout=1)(numbers)


def test_a_coroutine_is_refused_where_it_would_run_outside() -> None:
    async def ask() -> None:
        """Is never awaited."""

    def hand_on() -> Any:
        return ask()

    with pytest.raises(TypeError, match="use call_async"):
        Guard("x", circuit_breaker=CircuitBreaker(name="x"))(hand_on)()


def test_every_problem_of_a_profile_and_its_guards_is_in_the_one_message(load: Callable[[str], None]) -> None:
    declared = Guard("orders")
    with pytest.raises(ConfigurationError) as raised:
        load(
            """
            [circuit_breakers.good]
            [timeouts.slow]
            seconds = 10
            [bulkheads.narrow]
            limit = 1
            queue = 1
            max_wait = 20
            [guards.first]
            timeout = "slow"
            deadline = 5
            [guards.second]
            bulkhead = "narow"
            circuit_breaker = "nothing"
            [guards.third]
            bulkhead = "narrow"
            deadline = 20
            """
        )
    problems = raised.value.problems
    assert len(problems) == 5
    message = str(raised.value)
    for named in (
        "guard 'first': the timeout of an attempt is 10 s",
        "guard 'second': bulkhead is 'narow', but there is no [bulkheads.narow]; did you mean 'narrow'?",
        "guard 'second': circuit_breaker is 'nothing', but there is no [circuit_breakers.nothing]; there are: good.",
        "guard 'third': max_wait of the bulkhead is 20 s",
        f"guard {declared.name!r}: it has no policy",
    ):
        assert named in message
    assert (circuit_breakers.all(), rate_limit_manager.all()) == ({}, {})


def test_every_setting_out_of_range_is_in_the_one_message(load: Callable[[str], None]) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(
            """
            [retries.a]
            max_attempts = 0
            base_delay = -1
            [retries.b]
            max_attempts = 1
            budget = { ratio = 0.5 }
            [retries.c]
            budget = { enabled = false, ratio = 0.5 }
            [retries.d]
            budget = { name = "shared", ratio = 0.5 }
            [retries.e]
            budget = { name = "shared", ratio = 0.25 }
            [retries.f]
            budget = { ratio = -1 }
            [timeouts.a]
            seconds = 0
            [bulkheads.a]
            limit = 0
            [rate_limiters.a]
            rate = 0
            burst = 1
            [circuit_breakers.a]
            fail_max = 0
            [guards.a]
            deadline = 0
            max_wait = -1
            [dead_letters.a]
            url = "sqlite://"
            max_replays = 0
            """
        )
    message = str(raised.value)
    for named in (
        "retry 'a': max_attempts is 0",
        "retry 'a': base_delay is -1",
        "retry 'b': max_attempts is 1, so the budget",
        "retry 'c': budget.enabled is false, so ratio would have no effect",
        "retry 'e': its budget 'shared' has other numbers elsewhere",
        "retry budget 'f': ratio is -1",
        "timeout 'a': seconds is 0",
        "bulkhead 'a': limit is 0",
        "limiter 'a': rate is 0",
        "circuit breaker 'a': fail_max is 0",
        "guard 'a': deadline is 0",
        "guard 'a': max_wait is -1",
        "dead-letter queue 'a': max_replays is 0",
    ):
        assert named in message
    assert guards.stats() == {}


def test_what_is_settled_in_the_code_and_in_the_profile_is_refused(load: Callable[[str], None]) -> None:
    kept = Guard("x", timeout=1, deadline=3), Guard("y", retry="a")
    with pytest.raises(ConfigurationError) as raised:
        load(
            """
            [timeouts.x]
            seconds = 2
            [retries.a]
            [retries.b]
            [guards.x]
            deadline = 4
            [guards.y]
            retry = "b"
            """
        )
    message = str(raised.value)
    assert "guard 'x': [timeouts.x] stands in the profile, but the code gives the guard a timeout of its own" in message
    assert "guard 'x': deadline is 4.0 in the profile, but 3 in the code" in message
    assert "guard 'y': retry is 'b' in the profile, but the code settles it too" in message
    assert len(kept) == 2


def test_a_password_in_a_url_is_in_no_text(load: Callable[[str], None]) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(
            """
            [dead_letters.a]
            url = "mysql://user:hunter2@host/letters"
            """
        )
    assert "hunter2" not in str(raised.value)
