"""One span for the whole pipeline, and what the policies write on it."""

from __future__ import annotations

import pytest
from opentelemetry import trace

from spanguard.error_handling import (
    Bulkhead,
    CallTimeoutError,
    CircuitBreaker,
    CircuitBreakerError,
    RetryConfig,
    Timeout,
    check_deadline,
    with_circuit_breaker,
    with_retry,
)
from spanguard.guard import Guard
from spanguard.rate_limiter import RateLimitExceededError, TokenBucketLimiter
from spanguard.testing import FakeClock, Signals
from unit.guard.dependency import Dependency, always

POLICY, OUTCOME, STATE = "spanguard.policy.name", "spanguard.outcome", "spanguard.circuit_breaker.state"
ATTEMPTS, IN_QUEUE = "spanguard.retry.attempt.count", "spanguard.guard.time_in_queue"


def everything() -> Guard:
    """A guard with all policies, each of which has a name of its own."""
    return Guard(
        "api",
        rate_limiter=TokenBucketLimiter(1000, 1000, name="limiter"),
        bulkhead=Bulkhead(2, name="bulkhead"),
        retry=RetryConfig(3, base_delay=0, max_delay=0),
        circuit_breaker=CircuitBreaker(5, name="breaker"),
        timeout=Timeout(5, name="timeout"),
        deadline=20,
        fallback="cached",
    )


def test_a_call_makes_one_span_with_the_name_of_the_guard(signals: Signals) -> None:
    everything().call(int)
    (span,) = signals.spans()
    assert (span.name, span.status) == ("guard api", "unset")
    assert (span.attributes[POLICY], span.attributes[OUTCOME]) == ("api", "success")
    assert (span.attributes[STATE], span.attributes[ATTEMPTS]) == ("closed", 1)
    assert 0 <= span.attributes[IN_QUEUE] < 1


async def test_an_awaited_call_makes_one_span_too(signals: Signals) -> None:
    await everything().call_async(Dependency().ask)
    (span,) = signals.spans()
    assert (span.name, span.attributes[OUTCOME], span.attributes[STATE]) == ("guard api", "success", "closed")
    assert IN_QUEUE in span.attributes


def test_a_block_makes_one_span_too(signals: Signals) -> None:
    guarded = Guard(
        "api",
        bulkhead=Bulkhead(2, name="bulkhead"),
        circuit_breaker=CircuitBreaker(5, name="breaker"),
        timeout=Timeout(5, name="timeout"),
        deadline=20,
    )
    with guarded.calling():
        pass
    (span,) = signals.spans()
    assert (span.name, span.attributes[OUTCOME], span.attributes[STATE]) == ("guard api", "success", "closed")
    assert IN_QUEUE in span.attributes


async def test_a_block_that_is_refused_ends_its_span(signals: Signals) -> None:
    breaker = CircuitBreaker(5, name="breaker")
    breaker.open()
    guarded = Guard("api", circuit_breaker=breaker)
    with pytest.raises(CircuitBreakerError), guarded.calling():
        pass
    with pytest.raises(CircuitBreakerError):
        async with guarded.calling():
            pass
    assert [(span.status, span.attributes[OUTCOME]) for span in signals.spans("guard api")] == [
        ("error", "rejected")
    ] * 2


def test_attempts_after_the_first_are_children_and_a_recovered_error_fails_nothing(signals: Signals) -> None:
    everything().call(Dependency(ConnectionError()))
    (call,) = signals.spans("guard api")
    (attempt,) = signals.spans("attempt api")
    assert (call.status, call.attributes[OUTCOME], call.attributes[ATTEMPTS]) == ("unset", "success", 2)
    assert (attempt.parent_id, attempt.attributes[STATE]) == (call.span_id, "closed")
    assert {span.name.split(" ")[0] for span in signals.spans()} == {"guard", "attempt", "backoff"}


def test_a_fallback_recovers_the_span(signals: Signals) -> None:
    assert everything().call(always(ConnectionError())) == "cached"
    (call,) = signals.spans("guard api")
    assert (call.status, call.attributes[OUTCOME]) == ("unset", "success")
    assert call.attributes["spanguard.degradation.source"] == "value"


def test_a_call_that_fails_for_good_fails_its_span(signals: Signals) -> None:
    with pytest.raises(ConnectionError):
        Guard("api", retry=RetryConfig(2, base_delay=0, max_delay=0)).call(always(ConnectionError()))
    (call,) = signals.spans("guard api")
    assert (call.status, call.attributes[OUTCOME], call.attributes["error.type"]) == (
        "error",
        "failure",
        "ConnectionError",
    )


def test_a_refusal_of_the_limiter_is_told_on_the_span(signals: Signals) -> None:
    guarded = Guard("api", rate_limiter=TokenBucketLimiter(0.001, 1, name="limiter"))
    guarded.call(int)
    with pytest.raises(RateLimitExceededError):
        guarded.call(int)
    refused = signals.spans("guard api")[1]
    assert (refused.attributes[OUTCOME], refused.attributes["spanguard.rate_limiting.result"]) == (
        "rejected",
        "rejected",
    )
    assert refused.attributes[POLICY] == "api"


def test_a_refusal_of_the_breaker_is_one_and_the_failure_that_opens_it_is_none(signals: Signals) -> None:
    guarded = Guard("api", circuit_breaker=CircuitBreaker(1, name="breaker"))
    for _ in range(2):
        with pytest.raises(CircuitBreakerError):
            guarded.call(always(ConnectionError()))
    assert [span.attributes[OUTCOME] for span in signals.spans("guard api")] == ["failure", "rejected"]


def test_the_time_in_queues_is_measured(signals: Signals) -> None:
    clock = FakeClock(auto_advance=True)
    limiter = TokenBucketLimiter(1, 1, name="limiter", clock=clock)
    guarded = Guard("api", rate_limiter=limiter, max_wait=2, clock=clock)
    guarded.call(int)
    guarded.call(int)
    assert [span.attributes[IN_QUEUE] for span in signals.spans("guard api")] == [0, 1]
    assert [span.parent_id for span in signals.spans("wait limiter")] == [signals.spans("guard api")[1].span_id]


def test_guards_around_one_function_share_the_outermost_span(signals: Signals) -> None:
    breaker = CircuitBreaker(name="inner")
    call = with_retry(name="outer")(everything()(breaker(Dependency().__call__)))
    assert call() == "answer"
    assert [span.name for span in signals.spans()] == ["guard outer"]


def test_policies_below_a_guard_share_its_span(signals: Signals) -> None:
    @everything()
    @with_circuit_breaker("below")
    def call() -> int:
        return 1

    call()
    assert [span.name for span in signals.spans()] == ["guard api"]


def test_a_guard_that_the_call_goes_through_has_a_span_of_its_own(signals: Signals) -> None:
    inner = Guard("inner", timeout=3)(int)
    Guard("outer", timeout=5).call(list, map(inner, ["1"]))
    names = {span.name: span for span in signals.spans()}
    assert names["guard inner"].parent_id == names["guard outer"].span_id


def test_the_call_runs_under_the_span(signals: Signals) -> None:
    seen = everything().call(lambda: trace.get_current_span().get_span_context().span_id)
    assert f"{seen:016x}" == signals.spans("guard api")[0].span_id
    assert not trace.get_current_span().get_span_context().is_valid


def test_where_the_parent_is_not_sampled_nothing_is_made(signals: Signals) -> None:
    unsampled = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))
    with trace.use_span(unsampled):
        assert everything().call(str) == ""
    assert signals.spans() == []


def test_a_timeout_of_an_attempt_is_told_on_the_span(signals: Signals, clock: FakeClock) -> None:
    def slow() -> None:
        clock.advance(3)
        check_deadline("the rest")

    with pytest.raises(CallTimeoutError):
        Guard("api", timeout=Timeout(2, name="timeout", clock=clock)).call(slow)
    (span,) = signals.spans()
    assert (span.status, span.attributes["spanguard.timeout.outcome"]) == ("error", "timed_out")
