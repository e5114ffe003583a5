"""The order of the policies, seen from outside: what each of them spares, counts or answers."""

from __future__ import annotations

import pytest

from spanguard.error_handling import (
    Bulkhead,
    BulkheadFullError,
    CallTimeoutError,
    CircuitBreaker,
    CircuitBreakerError,
    LastGood,
    RetryConfig,
    Timeout,
    check_deadline,
    deadline,
    degraded_answers,
    remaining,
)
from spanguard.guard import Guard, guard
from spanguard.rate_limiter import RateLimitExceededError, TokenBucketLimiter
from spanguard.testing import FakeClock, guards_off
from unit.guard.dependency import Dependency, always

NO_WAIT = RetryConfig(max_attempts=3, base_delay=0, max_delay=0)


def test_a_call_takes_one_permit_of_the_limiter_whatever_its_attempts() -> None:
    limiter = TokenBucketLimiter(1, 10, name="x")
    dependency = Dependency(ConnectionError(), ConnectionError())
    assert Guard("x", rate_limiter=limiter, retry=NO_WAIT).call(dependency) == "answer"
    assert (dependency.calls, limiter.stats().acquired) == (3, 1)


def test_a_call_takes_one_permit_of_the_bulkhead_whatever_its_attempts() -> None:
    bulkhead = Bulkhead(1, name="x")
    dependency = Dependency(ConnectionError(), ConnectionError())
    Guard("x", bulkhead=bulkhead, retry=NO_WAIT).call(dependency)
    assert (dependency.calls, bulkhead.stats().admitted) == (3, 1)


def test_the_limiter_refuses_before_the_bulkhead_is_asked() -> None:
    limiter, bulkhead = TokenBucketLimiter(0.001, 1, name="x"), Bulkhead(1, name="x")
    guarded = Guard("x", rate_limiter=limiter, bulkhead=bulkhead)
    guarded.call(int)
    with pytest.raises(RateLimitExceededError):
        guarded.call(int)
    assert bulkhead.stats().admitted == 1


def test_the_bulkhead_refuses_before_the_breaker_is_asked() -> None:
    bulkhead, breaker = Bulkhead(1, name="x"), CircuitBreaker(1, name="x")
    guarded = Guard("x", bulkhead=bulkhead, circuit_breaker=breaker)
    with bulkhead.calling(), pytest.raises(BulkheadFullError):
        guarded.call(int)
    assert breaker.stats().success == breaker.stats().failure == 0


def test_the_breaker_sees_each_attempt_and_ends_the_retries() -> None:
    breaker, dependency = CircuitBreaker(2, name="x"), always(ConnectionError())
    guarded = Guard("x", retry=RetryConfig(5, base_delay=0, max_delay=0), circuit_breaker=breaker)
    with pytest.raises(CircuitBreakerError):
        guarded.call(dependency)
    assert (dependency.calls, breaker.stats().failure) == (2, 2)


def test_each_attempt_has_its_own_timeout_under_the_breaker(clock: FakeClock) -> None:
    breaker, left = CircuitBreaker(5, name="x"), []

    def slow() -> None:
        left.append(remaining())
        clock.advance(3)
        check_deadline("the rest")

    guarded = Guard("x", retry=NO_WAIT, circuit_breaker=breaker, timeout=Timeout(2, name="x", clock=clock))
    with pytest.raises(CallTimeoutError):
        guarded.call(slow)
    assert left == [2, 2, 2]
    assert breaker.stats().failure == 3


def test_the_deadline_bounds_all_attempts_together(clock: FakeClock) -> None:
    left = []

    def slow() -> None:
        left.append(remaining())
        clock.advance(3)
        raise ConnectionError

    guarded = Guard("x", retry=NO_WAIT, deadline=5, clock=clock)
    with pytest.raises(ConnectionError):
        guarded.call(slow)
    assert left == [5, 2]


def test_the_fallback_answers_for_a_refusal_of_the_limiter() -> None:
    limiter = TokenBucketLimiter(0.001, 1, name="x")
    guarded = Guard("x", rate_limiter=limiter, fallback="cached")
    guarded.call(int)
    with degraded_answers() as degraded:
        assert guarded.call(str) == "cached"
    assert [type(answer.error) for answer in degraded] == [RateLimitExceededError]


def test_the_fallback_answers_once_after_all_attempts() -> None:
    dependency = always(ConnectionError())
    assert Guard("x", retry=NO_WAIT, fallback="cached").call(dependency) == "cached"
    assert dependency.calls == 3


def test_the_last_good_answer_is_that_of_the_same_function() -> None:
    good, other = Dependency(), always(ConnectionError())
    guarded = Guard("x", timeout=5, fallback=LastGood())
    guarded.call(good, 1)
    with pytest.raises(ConnectionError):
        guarded.call(other, 1)


def test_the_last_good_answer_outlives_a_change_of_the_policies() -> None:
    dependency = Dependency()
    guarded = Guard("x", timeout=5, fallback=LastGood())

    @guarded
    def ask() -> str:
        return dependency()

    ask()
    dependency = always(ConnectionError())
    with guards_off():
        pass
    assert ask() == "answer"


def test_a_call_waits_for_the_limiter_as_long_as_it_may(clock: FakeClock) -> None:
    clock = FakeClock(auto_advance=True)
    limiter = TokenBucketLimiter(1, 1, name="x", clock=clock)
    guarded = Guard("x", rate_limiter=limiter, max_wait=1.5)
    guarded.call(int)
    guarded.call(int)
    assert limiter.stats().waited == 1


def test_a_deadline_cuts_the_wait_for_the_limiter_short() -> None:
    clock = FakeClock(auto_advance=True)
    limiter = TokenBucketLimiter(0.25, 1, name="x", clock=clock)
    guarded = Guard("x", rate_limiter=limiter, max_wait=5, deadline=6, clock=clock)
    guarded.call(int)
    with deadline(3, clock=clock), pytest.raises(RateLimitExceededError):
        guarded.call(int)
    assert limiter.stats().timed_out == 1


async def test_the_order_is_the_same_for_coroutines() -> None:
    limiter, bulkhead, breaker = TokenBucketLimiter(1, 10, name="x"), Bulkhead(1, name="x"), CircuitBreaker(5, name="x")
    dependency = Dependency(ConnectionError(), ConnectionError())
    guarded = Guard("x", rate_limiter=limiter, bulkhead=bulkhead, retry=NO_WAIT, circuit_breaker=breaker, timeout=5)
    assert await guarded.call_async(dependency.ask, 1) == "answer1"
    assert limiter.stats().acquired == bulkhead.stats().admitted == 1
    assert (breaker.stats().failure, breaker.stats().success) == (2, 1)


async def test_a_coroutine_is_cancelled_at_the_deadline_of_the_whole_call() -> None:
    clock = FakeClock(auto_advance=True)
    guarded = Guard("x", deadline=2, clock=clock)
    with pytest.raises(CallTimeoutError):
        await guarded.call_async(FakeClock().sleep_async, 10)


def test_a_decorated_function_keeps_its_name_and_its_arguments() -> None:
    @guard("x", timeout=5)
    def add(left: int, *, right: int) -> int:
        """Add."""
        return left + right

    assert (add(1, right=2), add.__name__, add.__doc__) == (3, "add", "Add.")


async def test_a_decorated_coroutine_function_stays_one() -> None:
    @guard("x", timeout=5)
    async def add(left: int, *, right: int) -> int:
        return left + right

    assert await add(1, right=2) == 3


def test_a_method_is_guarded_with_its_object() -> None:
    class Client:
        def __init__(self, name: str) -> None:
            self.name = name

        @guard("x", timeout=5, fallback=LastGood())
        def ask(self) -> str:
            return self.name

    assert (Client("a").ask(), Client("b").ask()) == ("a", "b")


def test_the_arguments_of_the_call_may_have_any_name() -> None:
    def take(**kwargs: int) -> dict[str, int]:
        return kwargs

    given = {"stage": 1, "pipeline": 2, "timeout": 3, "operation": 4}
    assert guard("x", timeout=5)(take)(**given) == given
