"""The strategies of `limits.aio`, on its memory storage."""

from __future__ import annotations

import math
from typing import Any

import limits.aio.strategies
import pytest
from limits import RateLimitItem, parse
from limits.aio.storage import MemcachedStorage, MemoryStorage, MongoDBStorage
from limits.storage import MemoryStorage as SyncMemoryStorage
from limits.storage import storage_from_string

from spanguard.errors import ConfigurationError
from spanguard.instrumentation.limits import LimitsInstrumentor
from spanguard.rate_limiter.status import RateLimitStatus
from spanguard.rate_limiter.strategies import (
    AsyncLeakyBucketQueueRateLimiter,
    AsyncLeakyBucketRateLimiter,
    AsyncSlidingWindowEstimateRateLimiter,
    AsyncSlidingWindowLogRateLimiter,
    AsyncTokenBucketRateLimiter,
)
from spanguard.rate_limiter.strategies.asynchronous import AsyncDecidingRateLimiter
from spanguard.testing import FakeClock, Signals

MADE = [
    AsyncTokenBucketRateLimiter,
    AsyncLeakyBucketRateLimiter,
    AsyncLeakyBucketQueueRateLimiter,
    AsyncSlidingWindowLogRateLimiter,
    AsyncSlidingWindowEstimateRateLimiter,
]
every = pytest.mark.parametrize("made", MADE)


@pytest.fixture
def storage() -> Any:
    return storage_from_string("async+memory://")


@pytest.fixture
def item() -> RateLimitItem:
    """One token each twenty seconds, three at once."""
    return parse("3 per minute")


@every
def test_it_is_registered_beside_the_strategies_of_limits(made: type[AsyncDecidingRateLimiter]) -> None:
    table: Any = limits.aio.strategies.STRATEGIES
    assert table[made.strategy.replace("_", "-")] is made


@every
async def test_a_limit_holds_and_comes_back(
    made: type[AsyncDecidingRateLimiter], storage: MemoryStorage, item: RateLimitItem, clock: FakeClock
) -> None:
    strategy = made(storage, clock=clock)
    assert [await strategy.hit(item, "key") for _ in range(4)] == [True, True, True, False]
    assert await strategy.test(item, "key") is False
    clock.advance(await strategy.retry_after(item, "key"))
    assert await strategy.test(item, "key") is True


@every
async def test_it_answers_as_a_strategy_of_limits_does(
    made: type[AsyncDecidingRateLimiter], storage: MemoryStorage, item: RateLimitItem, clock: FakeClock
) -> None:
    strategy = made(storage, clock=clock)
    await strategy.hit(item, "key", cost=2)
    stats = await strategy.get_window_stats(item, "key")
    assert stats.remaining == 1
    assert clock.time() < stats.reset_time <= clock.time() + 120
    await strategy.clear(item, "key")
    assert (await strategy.peek(item, "key")).remaining == 3


@every
async def test_what_can_never_be_admitted_is_told_so(
    made: type[AsyncDecidingRateLimiter], storage: MemoryStorage, item: RateLimitItem
) -> None:
    strategy = made(storage)
    assert (await strategy.decide(item, "key", cost=4)) == RateLimitStatus(False, 3, math.inf, 0.0, 3)
    assert (await strategy.decide(parse("0 per minute"), "key")).retry_after == math.inf


async def test_sync_and_async_strategies_keep_apart_what_is_on_different_storages(
    storage: MemoryStorage, item: RateLimitItem
) -> None:
    await AsyncTokenBucketRateLimiter(storage).hit(item, "key", cost=3)
    other: Any = storage_from_string("async+memory://")
    assert await AsyncTokenBucketRateLimiter(other).hit(item, "key", cost=3)
    assert not await AsyncTokenBucketRateLimiter(storage).hit(item, "key")


@every
@pytest.mark.parametrize("kind", [MemcachedStorage, MongoDBStorage])
def test_a_storage_that_cannot_decide_in_one_step_is_refused_at_start_up(
    made: type[AsyncDecidingRateLimiter], kind: Any
) -> None:
    # Not connected, so with nothing to close: it is refused for what it is.
    kind = type(kind.__name__, (kind,), {"__del__": lambda _: None})
    with pytest.raises(ConfigurationError, match=rf"{kind.__name__} cannot decide exactly in one atomic step"):
        made(kind.__new__(kind))


@every
def test_a_sync_storage_is_refused(made: type[AsyncDecidingRateLimiter]) -> None:
    storage: Any = SyncMemoryStorage()
    with pytest.raises(ConfigurationError, match="would block the event loop"):
        made(storage)


@every
async def test_the_plugin_tells_when_a_refused_request_would_be_admitted(
    made: type[AsyncDecidingRateLimiter], storage: MemoryStorage, clock: FakeClock, signals: Signals
) -> None:
    LimitsInstrumentor().instrument()
    try:
        strategy = made(storage, clock=clock)
        item = parse("1 per 7 minute")
        await strategy.hit(item, "key")
        await strategy.hit(item, "key")
        expected = await strategy.retry_after(item, "key")
    finally:
        LimitsInstrumentor().uninstrument()
    (event,) = signals.events("spanguard.rate_limiting.rejected")
    assert event.attributes["spanguard.rate_limiting.retry_after"] == pytest.approx(expected)
    assert event.attributes["spanguard.rate_limiting.strategy"] == made.strategy
