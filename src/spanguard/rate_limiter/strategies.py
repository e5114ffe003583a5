"""The token bucket as a strategy of `limits`, on its memory storage."""

from __future__ import annotations

import math
import os
import threading
import weakref
from fractions import Fraction
from typing import Any, Final, cast

import limits.strategies
from limits import RateLimitItem, WindowStats
from limits.storage import MemoryStorage
from limits.storage import Storage as LimitsStorage

from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.errors import ConfigurationError
from spanguard.instrumentation.limits import KnowsRetryAfter
from spanguard.rate_limiter.buckets import MAX_BURST, TokenBuckets
from spanguard.rate_limiter.status import RateLimitStatus

_MANY_LIMITS: Final = 1000
_MARK: Final = "spanguard.token-bucket"


class TokenBucketRateLimiter(limits.strategies.RateLimiter, KnowsRetryAfter):
    """A token bucket for every limit and identifier: "10 per minute" fills by one token each six seconds.

    It is registered as "token-bucket" beside `limits`' own strategies, and answers as they do; `decide` says more in the
    same atomic step. Strategies on one storage share their buckets, as those of `limits` do, if their burst is the same.

    Args:
        storage: a `limits.storage.MemoryStorage`. Its own counters are not safe from threads, so the buckets are kept
            beside them; `reset` of the storage empties both.
        burst: tokens that a full bucket holds, from 1; the limit's own amount, if left out.
        clock: where time comes from.

    Raises:
        ConfigurationError: the storage is of another kind, or the burst is out of range.
    """

    def __init__(self, storage: LimitsStorage, *, burst: int | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        if not isinstance(storage, MemoryStorage):
            raise ConfigurationError(
                f"the token bucket cannot decide exactly on a {type(storage).__name__}; it takes limits' MemoryStorage: "
                "use storage_from_string('memory://'), or one of limits' own strategies on this storage"
            )
        if burst is not None and (burst.__class__ is not int or not 1 <= burst <= MAX_BURST):
            raise ConfigurationError(
                f"token bucket: burst is {burst!r}; it must be a whole number from 1 to {MAX_BURST}"
            )
        super().__init__(storage)
        self._burst = burst
        self._clock = clock
        self._memory = _memory_of(storage)

    def decide(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> RateLimitStatus:
        """Take `cost` tokens if they are there, and say what is left or when to come back, in one atomic step.

        Raises:
            ConfigurationError: the cost is not a whole number of at least 1.
        """
        return self._ask(item, identifiers, cost, take=True)

    def peek(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> RateLimitStatus:
        """Say what `decide` would, and take nothing."""
        return self._ask(item, identifiers, cost, take=False)

    def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Take `cost` tokens if they are there; tell whether they were."""
        return self._ask(item, identifiers, cost, take=True).allowed

    def test(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Tell whether `cost` tokens are there, and take nothing."""
        return self._ask(item, identifiers, cost, take=False).allowed

    def retry_after(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> float:
        """Return seconds until `cost` tokens are there."""
        return self._ask(item, identifiers, cost, take=False).retry_after

    def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        """Return when the bucket will be full, in seconds since the Unix epoch, and the whole tokens in it now."""
        status = self._ask(item, identifiers, 1, take=False)
        return WindowStats(self._clock.time() + status.reset_after, status.remaining)

    def clear(self, item: RateLimitItem, *identifiers: str) -> None:
        """Fill the bucket."""
        with self._memory.lock:
            self._buckets(item).clear(item.key_for(*identifiers))

    def _ask(self, item: RateLimitItem, identifiers: tuple[str, ...], cost: int, *, take: bool) -> RateLimitStatus:
        if cost.__class__ is not int or cost < 1:
            raise ConfigurationError(f"token bucket: cost is {cost!r}; it must be a whole number of tokens, at least 1")
        burst = self._burst or item.amount
        if not item.amount:
            return RateLimitStatus(False, 0, math.inf, 0.0, burst)
        if cost > burst:
            return self._ask(item, identifiers, 1, take=False)._replace(allowed=False, retry_after=math.inf)
        key = item.key_for(*identifiers)
        with self._memory.lock:
            buckets = self._buckets(item)
            now = buckets.moment(self._clock.monotonic())
            return buckets.take(key, cost, now) if take else buckets.peek(key, cost, now)

    def _buckets(self, item: RateLimitItem) -> TokenBuckets:
        return self._memory.buckets(item.amount, item.get_expiry(), self._burst or item.amount, self._clock)


class _Memory:
    """The buckets that belong to one storage, by limit. Who calls holds the lock."""

    def __init__(self, storage: MemoryStorage) -> None:
        self.lock = threading.Lock()
        # `limits` keeps all in this one counter, and `MemoryStorage.reset` empties it: the mark's absence tells.
        self._counter = storage.storage
        self._by_limit: dict[tuple[int, int, int], TokenBuckets] = {}

    def buckets(self, amount: int, seconds: int, burst: int, clock: Clock) -> TokenBuckets:
        if _MARK not in self._counter:
            self._by_limit.clear()
            self._counter[_MARK] = 1
        found = self._by_limit.get((amount, seconds, burst))
        if found is None:
            if len(self._by_limit) >= _MANY_LIMITS:
                self._drop_idle(clock.monotonic())
            found = self._by_limit[amount, seconds, burst] = TokenBuckets(Fraction(amount, seconds), burst)
        return found

    def _drop_idle(self, seconds: float) -> None:
        for limit, buckets in list(self._by_limit.items()):
            buckets.drop_idle(buckets.moment(seconds))
            if not buckets:
                del self._by_limit[limit]


_memories: weakref.WeakKeyDictionary[MemoryStorage, _Memory] = weakref.WeakKeyDictionary()
_memories_lock = threading.Lock()


def _memory_of(storage: MemoryStorage) -> _Memory:
    with _memories_lock:
        found = _memories.get(storage)
        if found is None:
            found = _memories[storage] = _Memory(storage)
        return found


def _restart_all() -> None:
    global _memories_lock  # noqa: PLW0603 - another thread of the parent may have held it
    _memories_lock = threading.Lock()
    for memory in list(_memories.values()):
        memory.lock = threading.Lock()


os.register_at_fork(after_in_child=_restart_all)

cast(dict[str, Any], limits.strategies.STRATEGIES)["token-bucket"] = TokenBucketRateLimiter
