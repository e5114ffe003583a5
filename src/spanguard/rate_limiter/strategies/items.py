"""From an item of `limits` to the decider of its rule, once for each limit."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextvars import ContextVar
from fractions import Fraction
from typing import Final, Generic, TypeVar

from limits import RateLimitItem

from spanguard.errors import ConfigurationError
from spanguard.rate_limiter.rules import MAX_LIMIT, Rule, Strategy, bucket, window
from spanguard.rate_limiter.status import RateLimitStatus

_MANY_LIMITS: Final = 1000

D = TypeVar("D")

last_refusal: ContextVar[RateLimitStatus | None] = ContextVar("spanguard_last_refusal", default=None)
"""What this thread or task was last refused with: `hit` answers yes or no, and the plugin tells more."""


class Deciders(Generic[D]):
    """The deciders of one strategy on one storage, by limit.

    Args:
        strategy: the algorithm.
        burst: what a full bucket holds; the limit's own amount, if None.
        make: how a decider is made for a rule.
    """

    __slots__ = ("_burst", "_by_limit", "_make", "_strategy")

    def __init__(self, strategy: Strategy, burst: int | None, make: Callable[[tuple[Rule, ...]], D]) -> None:
        if burst is not None and (burst.__class__ is not int or not 1 <= burst <= MAX_LIMIT):
            raise ConfigurationError(
                f"{_words(strategy)}: burst is {burst!r}; it must be a whole number from 1 to {MAX_LIMIT}"
            )
        self._strategy = strategy
        self._burst = burst
        self._make = make
        self._by_limit: dict[tuple[int, int], D] = {}

    def burst(self, item: RateLimitItem) -> int:
        """Return the most that the limit admits at once."""
        return self._burst or item.amount

    def impossible(self, item: RateLimitItem, cost: int) -> bool:
        """Tell whether the limit can never admit so much.

        Raises:
            ConfigurationError: the cost is not a whole number of at least 1.
        """
        if cost.__class__ is not int or cost < 1:
            raise ConfigurationError(
                f"{_words(self._strategy)}: cost is {cost!r}; it must be a whole number of tokens, at least 1"
            )
        return cost > (self._burst or item.amount) or item.amount < 1

    def of(self, item: RateLimitItem) -> D:
        """Return the decider of a limit.

        Raises:
            ConfigurationError: the limit is beyond what can be kept to.
        """
        limit = (item.amount, item.get_expiry())
        found = self._by_limit.get(limit)
        if found is None:
            if len(self._by_limit) >= _MANY_LIMITS:
                self._by_limit.clear()
            found = self._by_limit[limit] = self._make((self._rule(item),))
        return found

    def _rule(self, item: RateLimitItem) -> Rule:
        if self._strategy in ("sliding_window_log", "sliding_window_estimate"):
            return window(str(item), self._strategy, item.amount, item.get_expiry())
        return bucket(str(item), self._strategy, Fraction(item.amount, item.get_expiry()), self.burst(item))


def never(burst: int, present: RateLimitStatus | None) -> RateLimitStatus:
    """Return the refusal of what can never be admitted, beside how things are at present."""
    if present is None:
        return RateLimitStatus(False, 0, math.inf, 0.0, burst)
    return present._replace(allowed=False, retry_after=math.inf, delay=0.0)


def _words(strategy: Strategy) -> str:
    return strategy.replace("_", " ")
