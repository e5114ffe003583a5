"""What is told of a retry."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace

from spanguard import semconv
from spanguard.error_handling import CircuitBreaker, Retry
from spanguard.testing import FakeClock, Signals
from unit.retry.dependencies import CALLS, OUTCOME, REASON, Dependency, errors


def test_every_call_counts_once_by_its_end(retry: Callable[..., Retry], clock: FakeClock, signals: Signals) -> None:
    policy = retry()
    for failures in (0, 0, 1, 3):
        dependency = Dependency(clock, *errors(failures))
        with contextlib.suppress(ConnectionError):
            policy.call(dependency)
    with pytest.raises(TypeError):
        policy.call(Dependency(clock, TypeError()))
    ends = {
        "success_without_retry": 2,
        "success_with_retry": 1,
        "failure_with_retry": 1,
        "failure_without_retry": 1,
    }
    assert {end: signals.increase(CALLS, {OUTCOME: end}) for end in ends} == ends
    assert signals.increase(CALLS) == 5


def test_an_exhausted_call_is_told_with_its_reason_and_without_the_errors_message(
    retry: Callable[..., Retry], clock: FakeClock, signals: Signals
) -> None:
    with pytest.raises(ConnectionError):
        retry().call(Dependency(clock, *[ConnectionError("secret")] * 3))
    (event,) = signals.events(semconv.RETRY_EXHAUSTED_EVENT.name)
    assert event.attributes == {
        semconv.POLICY_NAME.key: "api",
        REASON: "attempts",
        semconv.RETRY_ATTEMPTS.key: 3,
        semconv.RETRY_ELAPSED.key: 3.0,
        semconv.ERROR_TYPE.key: "ConnectionError",
    }
    assert "secret" not in repr([signals.events(), signals.spans(), signals.points()])


def test_an_error_that_is_not_retryable_is_no_event_at_the_first_attempt_and_one_after_a_retry(
    retry: Callable[..., Retry], clock: FakeClock, signals: Signals
) -> None:
    with pytest.raises(TypeError):
        retry().call(Dependency(clock, TypeError()))
    assert signals.events(semconv.RETRY_EXHAUSTED_EVENT.name) == []
    with pytest.raises(TypeError):
        retry().call(Dependency(clock, ConnectionError(), TypeError()))
    (event,) = signals.events(semconv.RETRY_EXHAUSTED_EVENT.name)
    assert event.attributes[REASON] == "not_retryable"


def test_attempts_and_waits_are_recorded(retry: Callable[..., Retry], clock: FakeClock, signals: Signals) -> None:
    retry(name="recorded").call(Dependency(clock, *errors(2)))
    where = {semconv.POLICY_NAME.key: "recorded"}
    (attempts,) = [
        p for p in signals.points(semconv.RETRY_ATTEMPTS_METRIC.name) if where.items() <= p.attributes.items()
    ]
    (waits,) = [p for p in signals.points(semconv.RETRY_BACKOFF_METRIC.name) if where.items() <= p.attributes.items()]
    assert (attempts.value, attempts.sum) == (1, 3)
    assert (waits.value, waits.sum) == (2, 3.0)


def test_a_recovered_call_is_one_span_with_its_waits_and_later_attempts_below(
    retry: Callable[..., Retry], clock: FakeClock, signals: Signals
) -> None:
    retry().call(Dependency(clock, *errors(2)))
    (guard,) = signals.spans("guard api")
    children = [span for span in signals.spans() if span.parent_id == guard.span_id]
    assert [(span.name, span.status) for span in children] == [
        ("backoff api", "unset"),
        ("attempt api", "error"),
        ("backoff api", "unset"),
        ("attempt api", "unset"),
    ]
    assert (guard.status, guard.attributes[semconv.RETRY_ATTEMPTS.key]) == ("unset", 3)


def test_a_call_that_failed_marks_its_span(retry: Callable[..., Retry], clock: FakeClock, signals: Signals) -> None:
    with pytest.raises(ConnectionError):
        retry().call(Dependency(clock, *errors(3)))
    (guard,) = signals.spans("guard api")
    assert (guard.status, guard.attributes[REASON], guard.attributes[semconv.OUTCOME.key]) == (
        "error",
        "attempts",
        "failure",
    )


def test_a_breaker_below_shares_the_span_of_each_attempt(
    retry: Callable[..., Retry], clock: FakeClock, signals: Signals
) -> None:
    breaker = CircuitBreaker(name="api", clock=clock)
    retry()(breaker(Dependency(clock, *errors(1))))()
    assert [span.name for span in signals.spans()] == ["backoff api", "attempt api", "guard api"]


def test_below_another_guard_the_span_of_an_attempt_is_current_only_while_it_runs(
    retry: Callable[..., Retry], clock: FakeClock, signals: Signals
) -> None:
    dependency = Dependency(clock, *errors(1))

    def work() -> tuple[Any, Any]:
        before = trace.get_current_span()
        retry().call(dependency)
        return before, trace.get_current_span()

    before, after = CircuitBreaker(name="outer", clock=clock).call(work)
    assert after is before


def test_a_retry_that_joins_the_span_of_another_guard_gives_it_back(
    retry: Callable[..., Retry], clock: FakeClock, signals: Signals
) -> None:
    seen: list[Any] = []
    dependency = Dependency(clock, *errors(1))
    guarded = retry()(dependency)

    @functools.wraps(guarded)
    def between() -> None:
        seen.append(trace.get_current_span())
        guarded()
        seen.append(trace.get_current_span())

    CircuitBreaker(name="outer", clock=clock)(between)()
    assert [span.name for span in signals.spans() if span.name.startswith("guard")] == ["guard outer"]
    assert seen[0] is seen[1]
