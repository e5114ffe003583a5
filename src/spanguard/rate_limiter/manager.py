"""The limiters of the process by name."""

from __future__ import annotations

import difflib
import os
import threading
from collections.abc import Callable
from typing import TypeVar

from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.errors import ConfigurationError
from spanguard.rate_limiter.limiter import RateLimiter
from spanguard.rate_limiter.limiters import TokenBucketLimiter
from spanguard.rate_limiter.stats import LimiterStats

L = TypeVar("L", bound=RateLimiter)


class RateLimitManager:
    """Named limiters: configured once, found everywhere. Safe from threads.

    Args:
        clock: where the limiters' time comes from.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._limiters: dict[str, RateLimiter] = {}
        self._lock = threading.Lock()

    def configure(self, name: str, rate: float, burst: int) -> TokenBucketLimiter:
        """Make a token bucket, or return the one that has this name and the same numbers.

        Args:
            name: the policy's name.
            rate: permits a second.
            burst: permits at once.

        Raises:
            ConfigurationError: a number is out of range, or the name stands for something else already.
        """
        known = self._known_or(name, lambda: TokenBucketLimiter(rate, burst, name=name, clock=self._clock))
        if not isinstance(known, TokenBucketLimiter) or (known.rate, known.burst) != (rate, burst):
            raise ConfigurationError(
                f"limiter {name!r} is configured already, as {known!r}; it cannot have rate {rate} and burst {burst} "
                "too: use one set of numbers, reconfigure(), or another name"
            )
        return known

    def reconfigure(self, name: str, rate: float, burst: int) -> TokenBucketLimiter:
        """Give a token bucket other numbers while it runs, or make it if there is none of this name.

        Who holds the limiter has the new numbers too. What was used stays used, and those who wait keep their places.

        Raises:
            ConfigurationError: a number is out of range, or the name stands for a limiter of another kind.
        """
        known = self._known_or(name, lambda: TokenBucketLimiter(rate, burst, name=name, clock=self._clock))
        if not isinstance(known, TokenBucketLimiter):
            raise ConfigurationError(
                f"limiter {name!r} is {known!r}; it cannot become a token bucket while it runs: reconfigure() it, or use "
                "another name"
            )
        known.reconfigure(rate, burst)
        return known

    def add(self, limiter: L) -> L:
        """Have a limiter of any kind found by its name.

        Raises:
            ConfigurationError: the name stands for another limiter already.
        """
        known = self._known_or(limiter.name, lambda: limiter)
        if known is not limiter:
            raise ConfigurationError(
                f"limiter {limiter.name!r} is there already, as {known!r}; it cannot be {limiter!r} too: use another name"
            )
        return limiter

    def get_limiter(self, name: str) -> RateLimiter:
        """Return the limiter of this name.

        Raises:
            ConfigurationError: there is none; the message names those that come close.
        """
        limiter = self._limiters.get(name)
        if limiter is None:
            raise ConfigurationError(_unknown(name, sorted(self.all())))
        return limiter

    def remove(self, name: str) -> None:
        """Forget one limiter; without one of this name nothing happens."""
        with self._lock:
            self._limiters.pop(name, None)

    def all(self) -> dict[str, RateLimiter]:
        """Return every limiter by its name."""
        with self._lock:
            return dict(self._limiters)

    def stats(self) -> dict[str, LimiterStats]:
        """Return what each limiter did, by its name."""
        return {name: limiter.stats() for name, limiter in self.all().items()}

    def reset(self) -> None:
        """Forget every limiter, for tests. Who holds one can go on using it; what was counted stays counted."""
        with self._lock:
            self._limiters.clear()

    def start_again_in_child(self) -> None:
        """Drop a lock that another thread of the parent may have held. Runs in a child right after fork."""
        self._lock = threading.Lock()

    def _known_or(self, name: str, make: Callable[[], RateLimiter]) -> RateLimiter:
        with self._lock:
            known = self._limiters.get(name)
            if known is None:
                known = self._limiters[name] = make()
            return known


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known)
    if near:
        hint = "did you mean " + " or ".join(repr(match) for match in near) + "?"
    elif known:
        hint = "there are " + ", ".join(repr(other) for other in known)
    else:
        hint = "none is configured yet; call rate_limit_manager.configure(name, rate, burst) first"
    return f"no rate limiter is named {name!r}: {hint}"


rate_limit_manager = RateLimitManager()
"""The limiters of this process."""

os.register_at_fork(after_in_child=rate_limit_manager.start_again_in_child)
