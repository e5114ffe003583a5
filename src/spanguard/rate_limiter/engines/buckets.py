"""Token and leaky buckets.

The generic cell rate algorithm (ITU-T I.371, annex A; "virtual scheduling") in place of a counter that is topped up: a
bucket is one number, the moment at which it will be full again (there: theoretical arrival time). Taking tokens moves
that moment on by the time it takes to earn them, and may not move it further than a whole burst beyond now.

All of it in integers, so that nothing is gained or lost by rounding over any number of decisions: with a rate of p/q
tokens a second, one tick earns p units, and a token is q * 2**30 units.
"""

from __future__ import annotations

from collections.abc import Container, Hashable
from typing import Final

from spanguard.rate_limiter.deciding import Engine
from spanguard.rate_limiter.engines.table import TICKS_PER_SECOND, Table
from spanguard.rate_limiter.rules import Rule
from spanguard.rate_limiter.status import RateLimitStatus

_PAST: Final = -(2**200)
_new_status = tuple.__new__


class Buckets(Table[int]):
    """A bucket for each key, full at first. As a meter, a leaky bucket is the same, seen from the other side."""

    __slots__ = ("_seconds", "capacity", "unit")

    def __init__(self, rule: Rule, held: Container[str] = ()) -> None:
        super().__init__(rule, held, per_tick=rule.rate.numerator)
        self._seconds = 1 / self.per_second
        self.unit = rule.rate.denominator * int(TICKS_PER_SECOND)
        self.capacity = rule.limit * self.unit

    def take(self, key: str, tokens: int, now: int, behind: int = 0) -> RateLimitStatus:
        """Take the tokens if they are there; say what is left, or how long it takes until they are."""
        if now >= self._sweep_at:
            self._sweep(now)
        found = self._states.get(key)
        full_at = now if found is None or found < now else found
        after = full_at + tokens * self.unit
        over = after - now - self.capacity
        if over > 0 or behind:
            return self._refuse(full_at - now, over + behind * self.unit)
        if found is None:
            self._add(key, after, now)
        else:
            self._states[key] = after
        return _new_status(
            RateLimitStatus, (True, -over // self.unit, 0.0, (after - now) * self._seconds, self.limit, 0.0, False)
        )

    def peek(self, key: str, tokens: int, now: int) -> RateLimitStatus:
        """Say what `take` would, and take nothing."""
        debt = self.debt(key, now)
        over = debt + tokens * self.unit - self.capacity
        if over > 0:
            return self._refuse(debt, over)
        return RateLimitStatus(True, (self.capacity - debt) // self.unit, 0.0, debt / self.per_second, self.limit)

    def debt(self, key: str, now: int) -> int:
        """Return how far the bucket is from full, in units."""
        return max(self._states.get(key, now) - now, 0)

    def ready_at(self, key: str, tokens: int, now: int) -> int:
        """Return when the bucket has, or had, so many tokens."""
        return self._states.get(key, now) + tokens * self.unit - self.capacity

    def grants(self, key: str) -> BucketGrants:
        """Return an empty record of what may be handed back."""
        return BucketGrants(self, key)

    def put_back(self, key: str, units: int) -> None:
        """Put back what was taken; never more than `debt` was at every `take` since, or the bucket would overflow."""
        if key in self._states:
            self._states[key] -= units

    def inherit(self, other: Engine, now: int) -> None:
        """Charge every bucket the tokens that it lacks in the other, if need be more than this one holds."""
        if not isinstance(other, Buckets):
            super().inherit(other, now)
            return
        then = now // self.per_tick * other.per_tick
        for key in list(other.keys()):
            lacks = -(-other.debt(key, then) * self.unit // other.unit)
            if lacks:
                self._add(key, now + lacks, now)

    def _refuse(self, debt: int, missing: int) -> RateLimitStatus:
        remaining = max(self.capacity - debt, 0) // self.unit
        return RateLimitStatus(False, remaining, missing / self.per_second, debt / self.per_second, self.limit)

    def _unused(self) -> int:
        return _PAST

    def _is_idle(self, state: int, now: int) -> bool:
        return state <= now


class Queues(Buckets):
    """Leaky buckets as queues: who is admitted goes when everybody before has leaked out, one after the other.

    The law is that of the buckets; `delay` is what the bucket lacked when the request came.
    """

    __slots__ = ()

    def take(self, key: str, tokens: int, now: int, behind: int = 0) -> RateLimitStatus:
        """Stand in the queue if there is room; say how long it takes until the request's turn."""
        delay = self.debt(key, now) / self.per_second
        status = super().take(key, tokens, now, behind=behind)
        return status._replace(delay=delay) if status.allowed else status

    def peek(self, key: str, tokens: int, now: int) -> RateLimitStatus:
        """Say what `take` would, and take nothing."""
        status = super().peek(key, tokens, now)
        return status._replace(delay=self.debt(key, now) / self.per_second) if status.allowed else status


class BucketGrants:
    """Tokens of one bucket that may be put back."""

    __slots__ = ("_buckets", "_key", "_units")

    def __init__(self, buckets: Buckets, key: str) -> None:
        self._buckets = buckets
        self._key = key
        self._units: dict[Hashable, int] = {}

    def __len__(self) -> int:
        return len(self._units)

    def add(self, holder: Hashable, tokens: int, at: int) -> None:  # noqa: ARG002 - a bucket forgets when
        """Note what a `take` gave."""
        self._units[holder] = tokens * self._buckets.unit

    def age(self, now: int) -> None:
        """Write off what a full bucket could not have held: it is earned again already."""
        left = self._buckets.debt(self._key, now)
        for holder, units in self._units.items():
            self._units[holder] = min(units, left)
            left -= self._units[holder]

    def keep(self, holder: Hashable) -> None:
        """The holder uses its tokens."""
        self._units.pop(holder, None)

    def give_back(self, holder: Hashable, now: int) -> None:
        """Put back what is left of the holder's tokens."""
        self.age(now)
        self._buckets.put_back(self._key, self._units.pop(holder, 0))
