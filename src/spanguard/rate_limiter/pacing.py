"""A leaky bucket as a queue in this process: requests go one after the other, each after the time that those before take."""

from __future__ import annotations

from spanguard.rate_limiter.engines import Buckets
from spanguard.rate_limiter.status import RateLimitStatus


class Pace(Buckets):
    """What is at the front of the queue goes as soon as what went before has leaked out; the queue itself is a `Line`.

    The law of `Queues` with its delays left to the line, so that those behind a cancelled wait move up.
    """

    __slots__ = ()

    def take(self, key: str, tokens: int, now: int, behind: int = 0) -> RateLimitStatus:
        """Go if nothing is in the way; say what room the queue has, or when the way will be free."""
        in_the_way = self.debt(key, now) + behind * self.unit
        if in_the_way:
            return self._in_the_way(in_the_way)
        return super().take(key, tokens, now)

    def peek(self, key: str, tokens: int, now: int) -> RateLimitStatus:
        """Say what `take` would, and take nothing."""
        in_the_way = self.debt(key, now)
        return self._in_the_way(in_the_way) if in_the_way else super().peek(key, tokens, now)

    def ready_at(self, key: str, tokens: int, now: int) -> int:
        """Return when the way is free for the last of so many tokens."""
        return super().ready_at(key, tokens - 1, now) + self.capacity

    def room_in(self, key: str, tokens: int, behind: int, now: int) -> float:
        """Return in how many seconds the queue has room for the tokens behind those that wait; 0 if it has."""
        over = self.debt(key, now) + (behind + tokens) * self.unit - self.capacity
        return max(over, 0) / self.per_second

    def _in_the_way(self, units: int) -> RateLimitStatus:
        return self._refuse(units, units)
