"""The limiters of the process by name."""

from __future__ import annotations

import difflib
import os
import threading

from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.errors import ConfigurationError
from spanguard.rate_limiter.limiter import LimiterStats, TokenBucketLimiter


class RateLimitManager:
    """Named limiters: configured once, found everywhere. Safe from threads.

    Args:
        clock: where the limiters' time comes from.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._limiters: dict[str, TokenBucketLimiter] = {}
        self._lock = threading.Lock()

    def configure(self, name: str, rate: float, burst: int) -> TokenBucketLimiter:
        """Make a limiter, or return the one that has this name and the same numbers.

        Args:
            name: the policy's name.
            rate: permits a second.
            burst: permits at once.

        Raises:
            ConfigurationError: a number is out of range, or the name stands for other numbers already.
        """
        with self._lock:
            known = self._limiters.get(name)
            if known is None:
                known = self._limiters[name] = TokenBucketLimiter(rate, burst, name=name, clock=self._clock)
        if (known.rate, known.burst) != (rate, burst):
            raise ConfigurationError(
                f"limiter {name!r} is configured already, with rate {known.rate} and burst {known.burst}; it cannot "
                f"have rate {rate} and burst {burst} too: use one set of numbers, or another name"
            )
        return known

    def get_limiter(self, name: str) -> TokenBucketLimiter:
        """Return the limiter of this name.

        Raises:
            ConfigurationError: there is none; the message names those that come close.
        """
        limiter = self._limiters.get(name)
        if limiter is None:
            raise ConfigurationError(_unknown(name, sorted(self._limiters)))
        return limiter

    def remove(self, name: str) -> None:
        """Forget one limiter; without one of this name nothing happens."""
        with self._lock:
            self._limiters.pop(name, None)

    def all(self) -> dict[str, TokenBucketLimiter]:
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
