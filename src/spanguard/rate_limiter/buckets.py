"""Token buckets in exact arithmetic: the engine of the limiter and of the `limits` strategy.

The generic cell rate algorithm (ITU-T I.371, annex A; "virtual scheduling") in place of a counter that is topped up: a
bucket is one number, the moment at which it will be full again (there: theoretical arrival time). Taking tokens moves
that moment on by the time it takes to earn them, and may not move it further than a whole burst beyond now.

All of it in integers, so that nothing is gained or lost by rounding over any number of decisions. Time is counted in
ticks of 2**-30 s, which a float of seconds multiplies into exactly; with a rate of p/q tokens a second, one tick earns p
units, and a token is q * 2**30 units.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Container
from fractions import Fraction
from typing import Final

from spanguard.errors import ConfigurationError
from spanguard.rate_limiter.status import RateLimitStatus

TICKS_PER_SECOND: Final = 2.0**30
MAX_RATE: Final = 1_000_000_000
"""Tokens a second: one for each tick."""
MAX_BURST: Final = 1_000_000_000

_PAST: Final = -(2**200)
_new_status = tuple.__new__


class TokenBuckets:
    """The buckets of all keys of one limit. Not locked: who calls holds a lock. All moments are in units: see `moment`.

    A bucket that is full again says no more than one that is not there, so idle ones are dropped: each new key looks at
    the two that were looked at longest ago. Kept are thus never more than twice as many as are in use, give or take.

    Args:
        rate: tokens a second.
        burst: tokens that a full bucket holds.
        held: keys that are not to be dropped.
    """

    __slots__ = (
        "_full_at",
        "_held",
        "_oldest",
        "_seconds",
        "burst",
        "capacity",
        "per_second",
        "per_tick",
        "rate",
        "unit",
    )

    def __init__(self, rate: Fraction, burst: int, held: Container[str] = ()) -> None:
        self.rate = rate
        self.burst = burst
        self.per_tick = rate.numerator
        self.per_second = rate.numerator * int(TICKS_PER_SECOND)
        self._seconds = 1 / self.per_second
        self.unit = rate.denominator * int(TICKS_PER_SECOND)
        self.capacity = burst * self.unit
        self._full_at: dict[str, int] = {}
        self._oldest: deque[str] = deque()
        self._held = held

    def __len__(self) -> int:
        return len(self._full_at)

    def moment(self, seconds: float) -> int:
        """Return a reading of a monotonic clock in units: as many as a bucket has earned by then."""
        return int(seconds * TICKS_PER_SECOND) * self.per_tick

    def take(self, key: str, tokens: int, now: int, *, behind: int = 0) -> RateLimitStatus:
        """Take the tokens if they are there; say what is left, or how long it takes until they are.

        Args:
            key: the bucket.
            tokens: how many.
            now: the present.
            behind: tokens that others are waiting for and that come first.
        """
        found = self._full_at.get(key)
        full_at = now if found is None or found < now else found
        after = full_at + tokens * self.unit
        over = after - now - self.capacity
        if over > 0 or behind:
            return self._refuse(full_at - now, over + behind * self.unit)
        if found is None:
            self._make_room(key, now)
        self._full_at[key] = after
        return _new_status(RateLimitStatus, (True, -over // self.unit, 0.0, (after - now) * self._seconds, self.burst))

    def peek(self, key: str, tokens: int, now: int) -> RateLimitStatus:
        """Say what `take` would, and take nothing."""
        debt = self.debt(key, now)
        over = debt + tokens * self.unit - self.capacity
        if over > 0:
            return self._refuse(debt, over)
        return RateLimitStatus(True, (self.capacity - debt) // self.unit, 0.0, debt / self.per_second, self.burst)

    def debt(self, key: str, now: int) -> int:
        """Return how far the bucket is from full, in units."""
        return max(self._full_at.get(key, now) - now, 0)

    def ready_at(self, key: str, tokens: int) -> int:
        """Return when the bucket has, or had, so many tokens."""
        return self._full_at[key] + tokens * self.unit - self.capacity

    def give_back(self, key: str, units: int) -> None:
        """Put back what was taken; never more than `debt` was at every `take` since, or the bucket would overflow."""
        if key in self._full_at:
            self._full_at[key] -= units

    def take_over(self, other: TokenBuckets, then: int, now: int) -> None:
        """Take in what was used of another limit's buckets: as many tokens are missing here, to the last part of one.

        Args:
            other: where it was used.
            then: the present in the other's units.
            now: the present.
        """
        for key in other._full_at:
            # Rounded up: nothing is forgiven.
            self._full_at[key] = now - -(other._full_at[key] - then) * self.unit // other.unit
        self._oldest = deque(self._full_at)

    def clear(self, key: str) -> None:
        """Fill a bucket."""
        if key in self._full_at:
            self._full_at[key] = _PAST

    def drop_idle(self, now: int) -> None:
        """Forget every bucket that is full."""
        self._full_at = {key: full_at for key, full_at in self._full_at.items() if full_at > now or key in self._held}
        self._oldest = deque(self._full_at)

    def _refuse(self, debt: int, missing: int) -> RateLimitStatus:
        remaining = max(self.capacity - debt, 0) // self.unit
        return RateLimitStatus(False, remaining, missing / self.per_second, debt / self.per_second, self.burst)

    def _make_room(self, key: str, now: int) -> None:
        self._oldest.append(key)
        for _ in range(min(2, len(self._oldest) - 1)):
            oldest = self._oldest.popleft()
            if self._full_at[oldest] > now or oldest in self._held:
                self._oldest.append(oldest)
            else:
                del self._full_at[oldest]


def check_rate(name: str, rate: float | Fraction, burst: int) -> tuple[Fraction, int]:
    """Return the two settings of a bucket as exact numbers.

    Raises:
        ConfigurationError: one is out of range; the message names the limiter, the setting and what is allowed.
    """
    problems = []
    if rate.__class__ not in (int, float, Fraction):
        problems.append(f"limiter {name!r}: rate is {rate!r}; it must be a number of tokens a second")
    elif not (math.isfinite(rate) and 0 < rate <= MAX_RATE):
        problems.append(
            f"limiter {name!r}: rate is {rate!r} tokens a second; it must be more than 0 and at most {MAX_RATE}"
        )
    if burst.__class__ is not int or not 1 <= burst <= MAX_BURST:
        problems.append(f"limiter {name!r}: burst is {burst!r}; it must be a whole number from 1 to {MAX_BURST}")
    if problems:
        raise ConfigurationError(problems)
    return (Fraction(repr(rate)) if isinstance(rate, float) else Fraction(rate)), burst
