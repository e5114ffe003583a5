"""The keys of one limit and how they go again."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Collection, Container
from math import floor
from typing import Final, Generic, TypeVar

from spanguard.rate_limiter.deciding import Engine, Grants
from spanguard.rate_limiter.rules import Rule
from spanguard.rate_limiter.status import RateLimitStatus

TICKS_PER_SECOND: Final = 2.0**30
"""A float of seconds multiplies into ticks exactly."""

_LOOKS: Final = 1024
_SWEEPS_PER_SECOND: Final = 50
_BIG_TABLE: Final = 128 * 1024

S = TypeVar("S")


class Table(ABC, Generic[S]):
    """The states of all keys of one limit, in whole numbers of a unit of its own that is a fraction of a tick.

    A state that is idle says no more than none at all, so it goes. Each new key looks at the two that were looked at
    longest ago: kept are thus never more than twice as many as are in use, give or take. And fifty times a second a
    decision looks at up to a thousand, so that they go without new keys as well, a million of them in twenty seconds,
    at a cost of a hundredth of a core.

    Args:
        rule: the limit.
        held: keys that are not to be dropped.
    """

    __slots__ = ("_held", "_oldest", "_states", "_sweep_at", "limit", "per_second", "per_tick", "rule")

    def __init__(self, rule: Rule, held: Container[str], *, per_tick: int) -> None:
        self.rule = rule
        self.limit = rule.limit
        self.per_tick = per_tick
        self.per_second = per_tick * int(TICKS_PER_SECOND)
        self._held = held
        self._states: dict[str, S] = {}
        self._oldest: deque[str] = deque()
        self._sweep_at = 0

    def __len__(self) -> int:
        return len(self._states)

    def moment(self, seconds: float) -> int:
        """Return a reading of a monotonic clock as a moment of this engine."""
        return floor(seconds * TICKS_PER_SECOND) * self.per_tick

    def drop_idle(self, now: int) -> None:
        """Forget every key that is as if it had never been used."""
        self._look(len(self._oldest), now)

    @abstractmethod
    def take(self, key: str, tokens: int, now: int, behind: int = 0) -> RateLimitStatus:
        """Take the permits if they are there; say what is left, or how long it takes until they are."""

    @abstractmethod
    def peek(self, key: str, tokens: int, now: int) -> RateLimitStatus:
        """Say what `take` would, and take nothing."""

    @abstractmethod
    def ready_at(self, key: str, tokens: int, now: int) -> int:
        """Return from when on so many permits are there if nobody else comes."""

    @abstractmethod
    def grants(self, key: str) -> Grants:
        """Return an empty record of what may be handed back."""

    def clear(self, key: str) -> None:
        """Forget what was taken."""
        if key in self._states:
            self._states[key] = self._unused()

    def keys(self) -> Collection[str]:
        """Return the keys that are remembered."""
        return self._states.keys()

    def inherit(self, other: Engine, now: int) -> None:
        """Charge every key, as of now, the whole permits that it has used of another engine, or all that this one has."""
        then = now // self.per_tick * other.per_tick
        for key in list(other.keys()):
            used = min(other.limit - other.peek(key, 1, then).remaining, self.limit)
            if used > 0:
                self.take(key, used, now)

    @abstractmethod
    def _unused(self) -> S:
        """Return the state of a key that was not used for long enough."""

    @abstractmethod
    def _is_idle(self, state: S, now: int) -> bool:
        """Tell whether the state says no more than none at all."""

    def _add(self, key: str, state: S, now: int) -> None:
        self._states[key] = state
        self._oldest.append(key)
        self._look(min(2, len(self._oldest) - 1), now)

    def _sweep(self, now: int) -> None:
        self._sweep_at = now + self.per_second // _SWEEPS_PER_SECOND
        self._look(min(_LOOKS, len(self._oldest)), now)
        # A dict keeps the room of what went, until it is made anew.
        if len(self._states) < _LOOKS and sys.getsizeof(self._states) > _BIG_TABLE:
            self._states = dict(self._states)

    def _look(self, keys: int, now: int) -> None:
        states, oldest, held = self._states, self._oldest, self._held
        for _ in range(keys):
            key = oldest.popleft()
            if key in held or not self._is_idle(states[key], now):
                oldest.append(key)
            else:
                del states[key]
