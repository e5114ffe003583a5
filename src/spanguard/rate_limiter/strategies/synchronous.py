"""The strategies, for the sync storages of `limits`."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import limits.strategies
from limits import RateLimitItem, RateLimitItemPerMinute, WindowStats
from limits.storage import Storage as LimitsStorage

from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.instrumentation.limits import KnowsRetryAfter
from spanguard.rate_limiter.rules import Strategy
from spanguard.rate_limiter.status import RateLimitStatus
from spanguard.rate_limiter.storages import decider_on
from spanguard.rate_limiter.strategies.items import Deciders, last_refusal, never


class DecidingRateLimiter(limits.strategies.RateLimiter, KnowsRetryAfter):
    """What the strategies have in common: they answer as those of `limits` do, and `decide` says more in the same step.

    Strategies on one storage share what was taken, as those of `limits` do, if their limits are the same.

    Args:
        storage: a storage of `limits`. Its memory storage's own counters are not safe from threads, so what was taken is
            kept beside them; `reset` of the storage empties both.
        clock: where time comes from.

    Raises:
        ConfigurationError: the storage cannot decide exactly in one atomic step.
    """

    strategy: ClassVar[Strategy]

    def __init__(self, storage: LimitsStorage, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._start(storage, None, clock)

    def _start(self, storage: LimitsStorage, burst: int | None, clock: Clock) -> None:
        self._clock = clock
        namespace = "" if burst is None else f"burst-{burst}"
        self._deciders = Deciders(
            self.strategy, burst, lambda rules: decider_on(storage, rules, namespace=namespace, clock=clock)
        )
        # A storage that cannot do is refused now, not at the first hit.
        self._deciders.of(RateLimitItemPerMinute(1))
        super().__init__(storage)

    def decide(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> RateLimitStatus:
        """Take `cost` tokens if they are there, and say what is left or when to come back, in one atomic step.

        Raises:
            ConfigurationError: the cost is not a whole number of at least 1, or the limit is beyond what can be kept to.
        """
        if self._deciders.impossible(item, cost):
            return self._never(item, identifiers)
        return self._deciders.of(item).decide(item.key_for(*identifiers), cost)

    def peek(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> RateLimitStatus:
        """Say what `decide` would, and take nothing."""
        if self._deciders.impossible(item, cost):
            return self._never(item, identifiers)
        return self._deciders.of(item).peek(item.key_for(*identifiers), cost)

    def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Take `cost` tokens if they are there; tell whether they were."""
        status = self.decide(item, *identifiers, cost=cost)
        if not status.allowed:
            last_refusal.set(status)
        return status.allowed

    def test(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Tell whether `cost` tokens are there, and take nothing."""
        return self.peek(item, *identifiers, cost=cost).allowed

    def retry_after(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> float:
        """Return seconds until `cost` tokens are there."""
        return self.peek(item, *identifiers, cost=cost).retry_after

    def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        """Return when it will be as if never used, in seconds since the Unix epoch, and the whole tokens there now."""
        status = self.peek(item, *identifiers)
        return WindowStats(self._clock.time() + status.reset_after, status.remaining)

    def clear(self, item: RateLimitItem, *identifiers: str) -> None:
        """Forget what was taken."""
        if item.amount > 0:
            self._deciders.of(item).reset(item.key_for(*identifiers))

    def told_retry_after(self) -> float | None:
        """Return what this thread or task was last refused with."""
        refusal = last_refusal.get()
        return None if refusal is None else refusal.retry_after

    def _never(self, item: RateLimitItem, identifiers: tuple[str, ...]) -> RateLimitStatus:
        present = self._deciders.of(item).peek(item.key_for(*identifiers)) if item.amount > 0 else None
        return never(self._deciders.burst(item), present)


class _BucketRateLimiter(DecidingRateLimiter):
    """A bucket for each limit and identifier, which may hold more or less than the limit's amount.

    Args:
        storage: a storage of `limits`.
        burst: what a full bucket holds, from 1; the limit's own amount, if left out.
        clock: where time comes from.

    Raises:
        ConfigurationError: the storage cannot decide exactly in one atomic step, or the burst is out of range.
    """

    def __init__(self, storage: LimitsStorage, *, burst: int | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self._start(storage, burst, clock)


class TokenBucketRateLimiter(_BucketRateLimiter):
    """A token bucket, "token-bucket": "10 per minute" earns one token each six seconds, and holds `burst` of them."""

    strategy = "token_bucket"


class LeakyBucketRateLimiter(_BucketRateLimiter):
    """A leaky bucket as a meter, "leaky-bucket": "10 per minute" leaks one each six seconds; what overflows is refused.

    The same law as a token bucket's of the same burst, by the name that it has where traffic is to be shaped.
    """

    strategy = "leaky_bucket"


class LeakyBucketQueueRateLimiter(_BucketRateLimiter):
    """A leaky bucket as a queue, "leaky-bucket-queue": at most `burst` in it, and each leaves at its own moment.

    `decide` says in `delay` how long an admitted request is to wait; `hit` does not, so it has no smoothing to offer.
    """

    strategy = "leaky_bucket_queue"


class SlidingWindowLogRateLimiter(DecidingRateLimiter):
    """An exact sliding window, "sliding-window-log": in no minute, wherever it begins, more than "10 per minute"."""

    strategy = "sliding_window_log"


class SlidingWindowEstimateRateLimiter(DecidingRateLimiter):
    """A sliding window estimated from two counters, "sliding-window-estimate": small, however large the limit.

    The same idea as `limits`' own "sliding-window-counter", decided in one atomic step and in whole numbers.
    """

    strategy = "sliding_window_estimate"


_table = cast(dict[str, Any], limits.strategies.STRATEGIES)
_table["token-bucket"] = TokenBucketRateLimiter
_table["leaky-bucket"] = LeakyBucketRateLimiter
_table["leaky-bucket-queue"] = LeakyBucketQueueRateLimiter
_table["sliding-window-log"] = SlidingWindowLogRateLimiter
_table["sliding-window-estimate"] = SlidingWindowEstimateRateLimiter
