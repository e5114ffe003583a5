"""The token bucket as a strategy of `limits`."""

from __future__ import annotations

import gc
import math
import os
import threading
import weakref
from typing import Any

import pytest
from limits import RateLimitItem, RateLimitItemPerMinute, parse
from limits.storage import MemcachedStorage, MemoryStorage, MongoDBStorage, Storage, storage_from_string
from limits.strategies import STRATEGIES, RateLimiter

from spanguard.errors import ConfigurationError
from spanguard.rate_limiter.status import RateLimitStatus
from spanguard.rate_limiter.storages.memory import shelf_of
from spanguard.rate_limiter.strategies import (
    LeakyBucketQueueRateLimiter,
    LeakyBucketRateLimiter,
    SlidingWindowEstimateRateLimiter,
    SlidingWindowLogRateLimiter,
    TokenBucketRateLimiter,
)
from spanguard.rate_limiter.strategies.synchronous import DecidingRateLimiter
from spanguard.testing import FakeClock

MADE = [
    TokenBucketRateLimiter,
    LeakyBucketRateLimiter,
    LeakyBucketQueueRateLimiter,
    SlidingWindowLogRateLimiter,
    SlidingWindowEstimateRateLimiter,
]


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def strategy(storage: MemoryStorage, clock: FakeClock) -> TokenBucketRateLimiter:
    return TokenBucketRateLimiter(storage, clock=clock)


@pytest.fixture
def item() -> RateLimitItem:
    """One token each twenty seconds, three at once."""
    return parse("3 per minute")


@pytest.mark.parametrize("made", MADE)
def test_it_is_registered_beside_the_strategies_of_limits(made: type[DecidingRateLimiter]) -> None:
    registered: Any = STRATEGIES[made.strategy.replace("_", "-")]
    assert registered is made
    assert issubclass(made, RateLimiter)


@pytest.mark.parametrize("made", MADE)
def test_a_limit_holds_under_every_strategy_and_comes_back(
    made: type[DecidingRateLimiter], storage: MemoryStorage, item: RateLimitItem, clock: FakeClock
) -> None:
    strategy = made(storage, clock=clock)
    assert [strategy.hit(item, "key") for _ in range(4)] == [True, True, True, False]
    clock.advance(strategy.retry_after(item, "key") - 0.001)
    assert strategy.hit(item, "key") is False
    clock.advance(0.001)
    assert [strategy.hit(item, "key"), strategy.hit(item, "key")] == [True, made is SlidingWindowLogRateLimiter]


@pytest.mark.parametrize("made", MADE)
def test_beyond_a_billion_a_second_a_limit_is_refused(made: type[DecidingRateLimiter], storage: MemoryStorage) -> None:
    with pytest.raises(ConfigurationError, match="1000000000"):
        made(storage).hit(parse("1000000001 per second"), "key")


def test_a_queue_says_how_long_an_admitted_request_is_to_wait(
    storage: MemoryStorage, item: RateLimitItem, clock: FakeClock
) -> None:
    queue = LeakyBucketQueueRateLimiter(storage, clock=clock)
    assert [queue.decide(item, "key").delay for _ in range(3)] == [0, 20, 40]
    refused = queue.decide(item, "key")
    assert (refused.allowed, refused.delay, refused.retry_after) == (False, 0, 20)


def test_hits_are_admitted_up_to_the_amount_and_one_more_for_each_interval(
    strategy: TokenBucketRateLimiter, item: RateLimitItem, clock: FakeClock
) -> None:
    assert [strategy.hit(item, "key") for _ in range(4)] == [True, True, True, False]
    clock.advance(20)
    assert [strategy.hit(item, "key") for _ in range(2)] == [True, False]


def test_a_decision_says_everything_at_once(strategy: TokenBucketRateLimiter, item: RateLimitItem) -> None:
    assert strategy.decide(item, "key", cost=2) == RateLimitStatus(True, 1, 0.0, 40.0, 3)
    assert strategy.decide(item, "key", cost=2) == RateLimitStatus(False, 1, 20.0, 40.0, 3)


def test_a_test_and_a_peek_take_nothing(strategy: TokenBucketRateLimiter, item: RateLimitItem) -> None:
    assert all(strategy.test(item, "key", cost=3) for _ in range(5))
    assert strategy.peek(item, "key").remaining == 3
    strategy.hit(item, "key", cost=2)
    assert strategy.test(item, "key", cost=2) is False
    assert strategy.peek(item, "key").remaining == 1


def test_window_stats_are_in_wall_clock_time(
    strategy: TokenBucketRateLimiter, item: RateLimitItem, clock: FakeClock
) -> None:
    assert strategy.get_window_stats(item, "key") == (clock.time(), 3)
    strategy.hit(item, "key")
    assert strategy.get_window_stats(item, "key") == (clock.time() + 20, 2)


def test_a_burst_of_its_own_holds_more_or_less_than_the_amount(
    storage: MemoryStorage, item: RateLimitItem, clock: FakeClock
) -> None:
    small = TokenBucketRateLimiter(storage, burst=1, clock=clock)
    large = TokenBucketRateLimiter(storage, burst=5, clock=clock)
    assert [small.hit(item, "a") for _ in range(2)] == [True, False]
    assert [large.hit(item, "b") for _ in range(6)] == [True] * 5 + [False]
    clock.advance(20)
    assert small.hit(item, "a")


def test_a_cost_beyond_the_burst_is_never_admitted(strategy: TokenBucketRateLimiter, item: RateLimitItem) -> None:
    strategy.hit(item, "key")
    assert strategy.decide(item, "key", cost=4) == RateLimitStatus(False, 2, math.inf, 20.0, 3)
    assert strategy.hit(item, "key", cost=4) is False


@pytest.mark.parametrize("burst", [None, 5])
def test_a_limit_of_nothing_admits_nothing(storage: MemoryStorage, clock: FakeClock, burst: int | None) -> None:
    strategy = TokenBucketRateLimiter(storage, burst=burst, clock=clock)
    nothing = RateLimitItemPerMinute(0)
    assert strategy.hit(nothing, "key") is False
    assert strategy.get_window_stats(nothing, "key").remaining == 0


def test_strategies_on_one_storage_share_their_buckets(
    storage: MemoryStorage, strategy: TokenBucketRateLimiter, item: RateLimitItem, clock: FakeClock
) -> None:
    strategy.hit(item, "key", cost=3)
    assert TokenBucketRateLimiter(storage, clock=clock).hit(item, "key") is False
    assert TokenBucketRateLimiter(MemoryStorage(), clock=clock).hit(item, "key") is True


def test_limits_and_identifiers_are_apart(strategy: TokenBucketRateLimiter, item: RateLimitItem) -> None:
    strategy.hit(item, "anna", cost=3)
    assert strategy.hit(item, "ben")
    assert strategy.hit(parse("4 per minute"), "anna")
    assert strategy.hit(RateLimitItemPerMinute(3, namespace="other"), "anna")


def test_a_cleared_key_starts_again(strategy: TokenBucketRateLimiter, item: RateLimitItem) -> None:
    for key in ("anna", "ben"):
        strategy.hit(item, key, cost=3)
    strategy.clear(item, "anna")
    strategy.clear(item, "nobody")
    assert [strategy.hit(item, "anna", cost=3), strategy.hit(item, "ben")] == [True, False]


def test_a_reset_of_the_storage_empties_the_buckets(
    storage: MemoryStorage, strategy: TokenBucketRateLimiter, item: RateLimitItem
) -> None:
    strategy.hit(item, "key", cost=3)
    storage.reset()
    assert [strategy.hit(item, "key", cost=3), strategy.hit(item, "key")] == [True, False]


def test_limits_that_came_once_are_forgotten(
    storage: MemoryStorage, strategy: TokenBucketRateLimiter, clock: FakeClock
) -> None:
    for amount in range(1, 5001):
        strategy.hit(RateLimitItemPerMinute(amount), "key")
        clock.advance(1)
    assert len(shelf_of(storage)) <= 1000


def test_the_buckets_go_with_their_storage(item: RateLimitItem) -> None:
    storage = MemoryStorage()
    storage.timer.join(10)
    strategy = TokenBucketRateLimiter(storage)
    strategy.hit(item, "key")
    shelf = weakref.ref(shelf_of(storage))
    del storage, strategy
    gc.collect()
    assert shelf() is None


@pytest.mark.parametrize("strategy", MADE)
@pytest.mark.parametrize("kind", [MemcachedStorage, MongoDBStorage])
def test_a_storage_that_cannot_decide_in_one_step_is_refused_at_start_up(
    strategy: type[RateLimiter], kind: type[Storage]
) -> None:
    # Not connected, so with nothing to close: it is refused for what it is.
    kind = type(kind.__name__, (kind,), {"__del__": lambda _: None})
    with pytest.raises(
        ConfigurationError, match=rf"{kind.__name__} cannot decide exactly in one atomic step.*memory://"
    ):
        strategy(kind.__new__(kind))


@pytest.mark.parametrize("strategy", MADE)
def test_an_async_storage_is_refused_by_a_sync_strategy(strategy: type[RateLimiter]) -> None:
    storage: Any = storage_from_string("async+memory://")
    with pytest.raises(ConfigurationError, match="it is awaited; use the Async"):
        strategy(storage)


@pytest.mark.parametrize("burst", [0, -1, 1.5, True, "3"])
def test_a_burst_out_of_range_is_refused(storage: MemoryStorage, burst: Any) -> None:
    with pytest.raises(ConfigurationError, match="burst is"):
        TokenBucketRateLimiter(storage, burst=burst)


@pytest.mark.parametrize("cost", [0, -1, 0.5, True, "1"])
def test_a_cost_out_of_range_is_refused(strategy: TokenBucketRateLimiter, item: RateLimitItem, cost: Any) -> None:
    with pytest.raises(ConfigurationError, match="cost is"):
        strategy.hit(item, "key", cost=cost)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_is_not_held_up_by_a_lock_of_its_parent(
    storage: MemoryStorage, strategy: TokenBucketRateLimiter, item: RateLimitItem
) -> None:
    strategy.hit(item, "key", cost=2)
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with shelf_of(storage).lock:
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    pid = os.fork()
    if not pid:
        os._exit(0 if [strategy.hit(item, "key") for _ in range(2)] == [True, False] else 1)
    status = os.waitpid(pid, 0)[1]
    release.set()
    thread.join(10)
    assert status == 0
