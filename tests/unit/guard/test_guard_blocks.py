"""A block as a guarded call."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from spanguard.error_handling import (
    Bulkhead,
    BulkheadFullError,
    CallTimeoutError,
    CircuitBreaker,
    CircuitBreakerError,
    RetryConfig,
    remaining,
)
from spanguard.errors import ConfigurationError
from spanguard.guard import Guard
from spanguard.rate_limiter import RateLimitExceededError, TokenBucketLimiter
from spanguard.testing import FakeClock


def test_a_block_goes_through_all_policies() -> None:
    limiter, bulkhead, breaker = TokenBucketLimiter(1, 9, name="x"), Bulkhead(1, name="x"), CircuitBreaker(name="x")
    guarded = Guard("x", rate_limiter=limiter, bulkhead=bulkhead, circuit_breaker=breaker, timeout=3, deadline=9)
    with guarded.calling():
        assert bulkhead.stats().running == 1
        assert 0 < (remaining() or 0) <= 3
    assert remaining() is None
    assert (limiter.stats().acquired, bulkhead.stats().running, breaker.stats().success) == (1, 0, 1)


async def test_a_block_in_a_coroutine_does_too() -> None:
    limiter, bulkhead, breaker = TokenBucketLimiter(1, 9, name="x"), Bulkhead(1, name="x"), CircuitBreaker(name="x")
    guarded = Guard("x", rate_limiter=limiter, bulkhead=bulkhead, circuit_breaker=breaker, timeout=3, deadline=9)
    async with guarded.calling():
        assert bulkhead.stats().running == 1
        assert 0 < (remaining() or 0) <= 3
    assert remaining() is None
    assert (limiter.stats().acquired, bulkhead.stats().running, breaker.stats().success) == (1, 0, 1)


def test_what_a_block_raises_is_counted_and_goes_on() -> None:
    breaker = CircuitBreaker(5, name="x")
    with pytest.raises(ConnectionError), Guard("x", circuit_breaker=breaker, timeout=3).calling():
        raise ConnectionError
    assert breaker.stats().failure == 1


def test_a_block_whose_failure_opens_the_breaker_says_so() -> None:
    with pytest.raises(CircuitBreakerError), Guard("x", circuit_breaker=CircuitBreaker(1, name="x")).calling():
        raise ConnectionError


def test_a_block_that_is_refused_is_not_run_and_holds_nothing() -> None:
    bulkhead, breaker = Bulkhead(1, name="x"), CircuitBreaker(name="x")
    breaker.open()
    reached = False
    with (
        pytest.raises(CircuitBreakerError),
        Guard("x", bulkhead=bulkhead, circuit_breaker=breaker, deadline=5).calling(),
    ):
        reached = True
    assert (reached, bulkhead.stats().running, remaining()) == (False, 0, None)


def test_a_block_is_refused_by_the_limiter_and_by_the_bulkhead() -> None:
    limiter, bulkhead = TokenBucketLimiter(0.001, 2, name="x"), Bulkhead(1, name="x")
    guarded = Guard("x", rate_limiter=limiter, bulkhead=bulkhead)
    with guarded.calling(), pytest.raises(BulkheadFullError), guarded.calling():
        pass
    with pytest.raises(RateLimitExceededError), guarded.calling():
        pass
    assert bulkhead.stats().running == 0


async def test_a_block_is_cancelled_when_its_time_is_over() -> None:
    guarded = Guard("x", timeout=0.01)
    with pytest.raises(CallTimeoutError):
        async with guarded.calling():
            await FakeClock().sleep_async(10)


async def test_a_block_that_is_cancelled_in_the_queue_holds_nothing() -> None:
    bulkhead = Bulkhead(1, queue=1, name="x")
    guarded = Guard("x", bulkhead=bulkhead, deadline=60)

    async def wait() -> None:
        async with guarded.calling():
            pass

    async with bulkhead.calling():
        task = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        assert bulkhead.stats().queued == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (bulkhead.stats().running, bulkhead.stats().queued) == (0, 0)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"retry": RetryConfig()}, "it has a retry"),
        ({"fallback": 1, "timeout": 1}, "it has a fallback"),
    ],
)
def test_a_block_that_would_have_to_run_again_or_be_replaced_is_refused(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named), Guard("x", **settings).calling():
        pass


def test_a_block_object_can_be_used_again_but_not_twice_at_once() -> None:
    block = Guard("x", timeout=3).calling()
    with block, pytest.raises(RuntimeError, match="under way"), block:
        pass
    with block:
        pass
