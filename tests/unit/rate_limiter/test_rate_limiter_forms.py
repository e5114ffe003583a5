"""The forms of a limited call: decorated functions and blocks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from spanguard import semconv
from spanguard.errors import BlockingWaitError, ConfigurationError
from spanguard.rate_limiter import RateLimitExceededError, TokenBucketLimiter
from spanguard.testing import FakeClock, Signals
from unit.rate_limiter.callers import drain, until_waiting


def test_a_block_runs_only_with_its_permits(limiter: TokenBucketLimiter) -> None:
    with limiter.limiting(2) as status:
        assert status.remaining == 1
    with pytest.raises(RateLimitExceededError), limiter.limiting(2):
        pytest.fail("there was no permit")


async def test_an_asynchronous_block_waits_for_its_permits(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)

    async def work() -> str:
        async with limiter.limiting(wait=True, timeout=1.0):
            return "done"

    task = asyncio.create_task(work())
    await until_waiting(limiter, 1)
    clock.advance(0.5)
    assert await task == "done"


async def test_an_asynchronous_block_that_would_wait_too_long_does_not_run(limiter: TokenBucketLimiter) -> None:
    drain(limiter)
    with pytest.raises(RateLimitExceededError):
        async with limiter.limiting(wait=True, timeout=0.25):
            pytest.fail("there was no permit")
    assert limiter.stats().timed_out == 1


@pytest.mark.parametrize(
    ("permits", "raises", "outcome"), [(1, None, "success"), (1, KeyError, "failure"), (0, None, "rejected")]
)
def test_a_block_is_one_span_with_its_outcome(
    limiter: TokenBucketLimiter, signals: Signals, permits: int, raises: type[Exception] | None, outcome: str
) -> None:
    if not permits:
        drain(limiter)
    try:
        with limiter.limiting():
            if raises is not None:
                raise raises
    except (KeyError, RateLimitExceededError):
        pass
    (span,) = signals.spans()
    assert (span.name, span.attributes[semconv.OUTCOME.key]) == ("guard unit", outcome)


def test_a_block_cannot_be_entered_twice_at_once(limiter: TokenBucketLimiter, signals: Signals) -> None:
    block = limiter.limiting()
    with block, pytest.raises(RuntimeError, match="is under way"):
        block.__enter__()
    with block:
        pass


def test_a_key_is_made_of_the_arguments_of_a_decorated_function(limiter: TokenBucketLimiter) -> None:
    @limiter.limiting(3, key=lambda customer, **_: customer)
    def order(customer: str, *, item: str) -> str:
        return f"{item} for {customer}"

    assert order("anna", item="tea") == "tea for anna"
    assert order("ben", item="tea") == "tea for ben"
    with pytest.raises(RateLimitExceededError):
        order("anna", item="cake")


async def test_a_decorated_coroutine_function_can_wait(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    @limiter.limiting(wait=True)
    async def call() -> str:
        return "ran"

    drain(limiter)
    task = asyncio.create_task(call())
    await until_waiting(limiter, 1)
    clock.advance(0.5)
    assert await task == "ran"


async def test_a_decorated_function_does_not_block_an_event_loop(limiter: TokenBucketLimiter) -> None:
    @limiter.limiting(wait=True)
    def call() -> None:
        pytest.fail("this would have blocked")

    with pytest.raises(BlockingWaitError):
        call()


def test_a_generator_cannot_be_limited(limiter: TokenBucketLimiter) -> None:
    def numbers() -> Iterator[int]:
        yield 1

    async def async_numbers() -> AsyncIterator[int]:
        yield 1

    for function in (numbers, async_numbers):
        with pytest.raises(ConfigurationError, match="a generator"):
            limiter(function)


def test_what_can_never_work_is_an_error_when_it_is_written(limiter: TokenBucketLimiter) -> None:
    with pytest.raises(ConfigurationError, match="from 1 to 3"):
        limiter.limiting(4)
    with pytest.raises(ConfigurationError, match="without wait=True"):
        limiter.limiting(timeout=1)
    with pytest.raises(ConfigurationError, match="no arguments to make a key of"), limiter.limiting(key=str):
        pytest.fail("the block has no key")
