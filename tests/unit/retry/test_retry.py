"""The retry: when there is another attempt, after which errors, and its forms and settings."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pybreaker
import pytest

from spanguard import semconv
from spanguard.clock import SYSTEM_CLOCK
from spanguard.error_handling import CircuitBreaker, Retry, RetryBudget, RetryConfig, retry_budget, with_retry
from spanguard.errors import ConfigurationError, DeadlineExceededError, SpanguardError
from spanguard.rate_limiter import TokenBucketLimiter
from spanguard.telemetry.deadline import deadline
from spanguard.testing import FakeClock, Signals
from unit.retry.dependencies import CALLS, OUTCOME, REASON, Dependency, errors

# --- attempts ------------------------------------------------------------------------------------------------------


def test_a_call_that_fails_is_made_again_until_it_succeeds(retry: Callable[..., Retry], clock: FakeClock) -> None:
    dependency = Dependency(clock, *errors(2))
    assert retry().call(dependency) == "answer"
    assert len(dependency.asked) == 3


def test_the_last_error_itself_is_raised_with_a_note_that_says_why(
    retry: Callable[..., Retry], clock: FakeClock
) -> None:
    raised = errors(3)
    with pytest.raises(ConnectionError) as caught:
        retry().call(Dependency(clock, *raised))
    assert caught.value is raised[-1]
    assert caught.value.__notes__ == ["retry 'api' gave up after 3 attempts in 3 s: no attempts are left"]


def test_an_error_object_that_is_raised_again_and_again_gets_one_note(
    retry: Callable[..., Retry], clock: FakeClock
) -> None:
    error = ConnectionError()
    for _ in range(3):
        with pytest.raises(ConnectionError):
            retry().call(Dependency(clock, *[error] * 3))
    assert len(error.__notes__) == 1


def test_arguments_and_the_identity_of_a_decorated_function_are_kept(retry: Callable[..., Retry]) -> None:
    @retry()
    def add(left: int, *, right: int) -> int:
        """Add."""
        return left + right

    assert (add(1, right=2), add.__name__, add.__doc__) == (3, "add", "Add.")


def test_no_further_attempt_begins_after_the_timeout(retry: Callable[..., Retry], clock: FakeClock) -> None:
    dependency = Dependency(clock, *errors(10))
    with pytest.raises(ConnectionError, match="2"):
        retry(max_attempts=None, timeout=5.0).call(dependency)
    assert dependency.waits == [1, 2]


# --- which errors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        TypeError(),
        AttributeError(),
        NameError(),
        AssertionError(),
        KeyError(),
        StopIteration(),
        pybreaker.CircuitBreakerError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_refusals_and_programming_errors_are_not_retried_by_default(
    retry: Callable[..., Retry], clock: FakeClock, error: Exception
) -> None:
    dependency = Dependency(clock, error)
    with pytest.raises(type(error)):
        retry().call(dependency)
    assert len(dependency.asked) == 1
    assert not hasattr(error, "__notes__")


def test_an_open_breaker_and_an_empty_limiter_are_not_asked_again(retry: Callable[..., Retry]) -> None:
    breaker = CircuitBreaker(name="api")
    breaker.open()
    limiter = TokenBucketLimiter(0.001, 1, name="api")
    limiter.acquire()
    for refused in (breaker(int), limiter(int)):
        attempts: list[int] = []

        def call(refused: Callable[[], int] = refused, attempts: list[int] = attempts) -> int:
            attempts.append(1)
            return refused()

        with pytest.raises(SpanguardError):
            retry().call(call)
        assert len(attempts) == 1


def test_a_programming_error_that_is_named_is_retried(retry: Callable[..., Retry], clock: FakeClock) -> None:
    assert retry(retry_on=(OSError, KeyError)).call(Dependency(clock, KeyError(), OSError())) == "answer"


def test_only_the_named_classes_are_retried(retry: Callable[..., Retry], clock: FakeClock) -> None:
    with pytest.raises(ValueError, match="no"):
        retry(retry_on=OSError).call(Dependency(clock, ValueError("no")))


def test_a_function_decides_alone_which_errors_are_retried(retry: Callable[..., Retry], clock: FakeClock) -> None:
    picky = retry(retry_on=lambda error: "again" in str(error))
    assert picky.call(Dependency(clock, TypeError("again"))) == "answer"
    with pytest.raises(OSError, match="never"):
        picky.call(Dependency(clock, OSError("never")))


def test_a_function_that_fails_itself_leaves_the_error_of_the_call(
    retry: Callable[..., Retry], clock: FakeClock, signals: Signals
) -> None:
    with pytest.raises(OSError, match="mine"):
        retry(retry_on=lambda _: 1 / 0 > 0).call(Dependency(clock, OSError("mine")))
    assert signals.increase(semconv.TELEMETRY_ERRORS_METRIC.name, {semconv.COMPONENT.key: "retry.retry_on"}) == 1


def test_keyboard_interrupt_is_never_retried_even_if_it_is_named(
    retry: Callable[..., Retry], clock: FakeClock, signals: Signals
) -> None:
    dependency = Dependency(clock, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        retry(retry_on=BaseException).call(dependency)
    assert len(dependency.asked) == 1
    assert signals.increase(CALLS, {OUTCOME: "cancelled"}) == 1


def test_a_result_may_ask_for_another_attempt_and_the_last_one_is_returned(
    retry: Callable[..., Retry], signals: Signals
) -> None:
    answers = iter([503, 503, 200])
    picky = retry(retry_result=lambda status: status == 503)
    assert picky.call(lambda: next(answers)) == 200
    assert picky.call(lambda: 503) == 503
    assert signals.increase(CALLS, {OUTCOME: "success_with_retry"}) == 1
    assert signals.increase(CALLS, {OUTCOME: "failure_with_retry", REASON: "attempts"}) == 1


# --- settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("max_attempts", 0),
        ("max_attempts", 1.5),
        ("max_attempts", True),
        ("base_delay", -1),
        ("base_delay", float("nan")),
        ("max_delay", float("inf")),
        ("multiplier", 0.5),
        ("jitter", "some"),
        ("timeout", 0),
        ("timeout", float("nan")),
        ("retry_on", "OSError"),
        ("retry_on", ()),
        ("retry_on", (OSError, "x")),
        ("retry_on", int),
        ("retry_result", True),
        ("max_retry_after", -1),
        ("budget", 0.2),
        ("tries", 3),
    ],
)
def test_a_wrong_setting_is_refused_where_it_is_written(setting: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        with_retry(**{setting: value})


def test_contradictions_are_refused_all_in_one_message() -> None:
    with pytest.raises(ConfigurationError) as caught:
        RetryConfig(max_attempts=None, base_delay=2, max_delay=1)
    assert len(caught.value.problems) == 2


def test_a_generator_function_is_refused() -> None:
    def numbers() -> Any:
        yield 1

    with pytest.raises(ConfigurationError, match="generator"):
        with_retry(numbers)


def test_the_settings_survive_pickling() -> None:
    budget = retry_budget("pickled", ratio=0.5)
    config = RetryConfig(max_attempts=7, retry_on=(OSError,), budget=budget)
    copy = pickle.loads(pickle.dumps(config))
    assert copy == config
    assert copy.budget is budget
    error = pickle.loads(pickle.dumps(DeadlineExceededError("too late")))
    assert (type(error), str(error)) == (DeadlineExceededError, "too late")


def test_a_budget_on_another_clock_is_refused(clock: FakeClock) -> None:
    with pytest.raises(ConfigurationError, match="clock"):
        Retry(budget=RetryBudget("system", clock=SYSTEM_CLOCK), clock=clock)


def test_a_coroutine_function_is_not_called_without_being_awaited(retry: Callable[..., Retry]) -> None:
    async def fetch() -> None: ...

    with pytest.raises(TypeError, match="call_async"):
        retry().call(fetch)  # type: ignore[unused-coroutine]


# --- with_retry ----------------------------------------------------------------------------------------------------


def test_the_decorator_works_with_and_without_parentheses(signals: Signals) -> None:
    @with_retry
    def bare() -> int:
        return 1

    @with_retry()
    def empty() -> int:
        return 2

    @with_retry(RetryConfig(max_attempts=2), name="named", base_delay=0.0)
    def full() -> int:
        return 3

    assert [bare(), empty(), full()] == [1, 2, 3]
    assert signals.increase(CALLS, {semconv.POLICY_NAME.key: "named"}) == 1
    assert signals.increase(CALLS, {semconv.POLICY_NAME.key: f"{__name__}.{bare.__qualname__}"}) == 1


# --- blocks --------------------------------------------------------------------------------------------------------


def test_a_block_is_retried_until_it_succeeds(retry: Callable[..., Retry], clock: FakeClock, signals: Signals) -> None:
    dependency = Dependency(clock, *errors(2))
    answers = []
    for attempt in retry():
        with attempt:
            answers.append((attempt.number, dependency()))
    assert answers == [(3, "answer")]
    assert signals.increase(CALLS, {OUTCOME: "success_with_retry"}) == 1


def test_a_block_may_be_left_by_return(retry: Callable[..., Retry], clock: FakeClock, signals: Signals) -> None:
    def ask() -> str | None:
        for attempt in retry():
            with attempt:
                return Dependency(clock)()
        return None

    assert ask() == "answer"
    assert signals.increase(CALLS, {OUTCOME: "success_without_retry"}) == 1
    assert [span.name for span in signals.spans()] == ["guard api"]


def test_the_last_error_of_a_block_is_raised(retry: Callable[..., Retry], clock: FakeClock) -> None:
    dependency = Dependency(clock, *errors(5))

    def ask() -> None:
        for attempt in retry():
            with attempt:
                dependency()

    with pytest.raises(ConnectionError, match="2"):
        ask()
    assert len(dependency.asked) == 3


def test_the_statistics_count_all_retries_of_a_name() -> None:
    first, second = Retry(name="counted", base_delay=0), Retry(name="counted", base_delay=0)
    first.call(int)
    second.changed(max_attempts=1).call(int)
    stats = second.stats()
    assert (stats.name, stats.success_without_retry, stats.success_with_retry) == ("counted", 2, 0)
    assert stats.budget_utilization == 0


def test_a_changed_retry_keeps_name_budget_and_clock() -> None:
    clock = FakeClock()
    retry = Retry(name="kept", clock=clock)
    changed = retry.changed(max_attempts=7)
    assert (changed.name, changed.config.max_attempts, changed.budget) == ("kept", 7, retry.budget)


def test_a_call_whose_deadline_has_passed_is_not_begun_on_the_quick_way(nothing_records: None) -> None:
    clock = FakeClock()
    made: list[int] = []
    retry = Retry(name="late", clock=clock)
    retry.call(int)  # from now on this thread is known
    with deadline(0.1, clock=clock):
        retry.call(made.append, 1)
        clock.advance(0.2)
        with pytest.raises(DeadlineExceededError):
            retry.call(made.append, 2)
    assert made == [1]
