"""Several limits at once: all of them admit, or none is charged."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from math import floor
from typing import Any

from spanguard.rate_limiter.deciding import Engine, Grants
from spanguard.rate_limiter.engines.table import TICKS_PER_SECOND, Table
from spanguard.rate_limiter.status import RateLimitStatus


class AllOf:
    """The engines of several limits as one; its moments are ticks, which each turns into its own unit."""

    __slots__ = ("_engines", "limit", "per_second", "per_tick")

    def __init__(self, engines: Sequence[Table[Any]]) -> None:
        self._engines = tuple(engines)
        self.limit = min(engine.limit for engine in engines)
        self.per_tick = 1
        self.per_second = int(TICKS_PER_SECOND)

    def __len__(self) -> int:
        return max(len(engine) for engine in self._engines)

    def moment(self, seconds: float) -> int:
        """Return a reading of a monotonic clock in ticks."""
        return floor(seconds * TICKS_PER_SECOND)

    def take(self, key: str, tokens: int, now: int, behind: int = 0) -> RateLimitStatus:
        """Take the permits from every limit if they are in all; say what is left, or how long it takes until they are."""
        engines = self._engines
        if behind or not all(engine.peek(key, tokens, now * engine.per_tick).allowed for engine in engines):
            return combine(
                [
                    engine.take(key, tokens, now * engine.per_tick, behind=behind)
                    if behind
                    else engine.peek(key, tokens, now * engine.per_tick)
                    for engine in engines
                ]
            )
        return combine([engine.take(key, tokens, now * engine.per_tick) for engine in engines])

    def peek(self, key: str, tokens: int, now: int) -> RateLimitStatus:
        """Say what `take` would, and take nothing."""
        return combine([engine.peek(key, tokens, now * engine.per_tick) for engine in self._engines])

    def ready_at(self, key: str, tokens: int, now: int) -> int:
        """Return when every limit has so many permits."""
        return max(
            -(-engine.ready_at(key, tokens, now * engine.per_tick) // engine.per_tick) for engine in self._engines
        )

    def grants(self, key: str) -> AllGrants:
        """Return an empty record of what may be handed back."""
        return AllGrants([(engine.per_tick, engine.grants(key)) for engine in self._engines])

    def clear(self, key: str) -> None:
        """Forget what was taken."""
        for engine in self._engines:
            engine.clear(key)

    def drop_idle(self, now: int) -> None:
        """Forget every key that is as if it had never been used."""
        for engine in self._engines:
            engine.drop_idle(now * engine.per_tick)

    def keys(self) -> Collection[str]:
        """Return the keys that are remembered."""
        return {key for engine in self._engines for key in engine.keys()}  # noqa: SIM118 - not a dict

    def parts(self) -> tuple[Table[Any], ...]:
        """Return the engine of each limit."""
        return self._engines

    def inherit(self, other: Engine, now: int) -> None:
        """Charge every key what it has used: limit by limit if there were as many, else of all together."""
        theirs: tuple[Engine, ...] = other.parts() if isinstance(other, AllOf) else (other,)
        if len(theirs) != len(self._engines):
            theirs = (other,) * len(self._engines)
        for mine, old in zip(self._engines, theirs, strict=True):
            mine.inherit(old, now * mine.per_tick)


class AllGrants:
    """What several limits gave and may get back."""

    __slots__ = ("_grants",)

    def __init__(self, grants: Sequence[tuple[int, Grants]]) -> None:
        self._grants = grants

    def __len__(self) -> int:
        return len(self._grants[0][1])

    def add(self, holder: Hashable, tokens: int, at: int) -> None:
        """Note what a `take` gave."""
        for per_tick, grants in self._grants:
            grants.add(holder, tokens, at * per_tick)

    def age(self, now: int) -> None:
        """Write off what was earned again by now."""
        for per_tick, grants in self._grants:
            grants.age(now * per_tick)

    def keep(self, holder: Hashable) -> None:
        """The holder uses its permits."""
        for _, grants in self._grants:
            grants.keep(holder)

    def give_back(self, holder: Hashable, now: int) -> None:
        """Put back what is left of the holder's permits."""
        for per_tick, grants in self._grants:
            grants.give_back(holder, now * per_tick)


def combine(statuses: Sequence[RateLimitStatus]) -> RateLimitStatus:
    """Return what several limits say together: the one that holds a request up longest, or has least left, decides."""
    refused = [status for status in statuses if not status.allowed]
    if refused:
        decisive = max(refused, key=lambda status: status.retry_after)
    else:
        decisive = min(statuses, key=lambda status: status.remaining)
    return decisive._replace(
        remaining=min(status.remaining for status in statuses),
        reset_after=max(status.reset_after for status in statuses),
        delay=0.0 if refused else max(status.delay for status in statuses),
    )
