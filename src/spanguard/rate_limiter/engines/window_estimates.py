"""The sliding window as an estimate from two counters: two numbers a key, however large the limit.

Time is cut into fixed windows. Of the one before, as much is taken to count as the sliding window still covers, as if its
requests had come evenly. The estimate is compared in whole numbers, so that it is the same at every moment for everybody.
"""

from __future__ import annotations

from collections.abc import Container, Hashable

from spanguard.rate_limiter.deciding import Engine
from spanguard.rate_limiter.engines.table import TICKS_PER_SECOND, Table
from spanguard.rate_limiter.rules import Rule
from spanguard.rate_limiter.status import RateLimitStatus

Counts = tuple[int, int, int]
"""The number of a window, what was admitted in it, and in the one before it."""


class WindowEstimates(Table[Counts]):
    """Two counters for each key."""

    __slots__ = ("_seconds", "_window")

    def __init__(self, rule: Rule, held: Container[str] = ()) -> None:
        super().__init__(rule, held, per_tick=rule.period.denominator)
        self._window = rule.period.numerator * int(TICKS_PER_SECOND)
        self._seconds = 1 / self.per_second

    def take(self, key: str, tokens: int, now: int, behind: int = 0) -> RateLimitStatus:
        """Count the request if there is room; say what is left, or how long it takes until there is."""
        if now >= self._sweep_at:
            self._sweep(now)
        known = key in self._states
        number, current, before = self.counts(key, now)
        passed = now - number * self._window
        free = self.limit - current - -(-before * (self._window - passed) // self._window)
        if tokens > free or behind:
            return self._refuse(key, tokens + behind, free, now)
        counts = (number, current + tokens, before)
        if known:
            self._states[key] = counts
        else:
            self._add(key, counts, now)
        return RateLimitStatus(True, free - tokens, 0.0, (2 * self._window - passed) * self._seconds, self.limit)

    def peek(self, key: str, tokens: int, now: int) -> RateLimitStatus:
        """Say what `take` would, and take nothing."""
        free = self._free(key, now)
        if tokens > free:
            return self._refuse(key, tokens, free, now)
        return RateLimitStatus(True, free, 0.0, self._reset_after(key, now), self.limit)

    def ready_at(self, key: str, tokens: int, now: int) -> int:
        """Return when the estimate has room for so many tokens."""
        windows, tokens = divmod(tokens - 1, self.limit)
        return self._free_at(key, tokens + 1, now) + windows * self._window

    def grants(self, key: str) -> CountGrants:
        """Return an empty record of what may be handed back."""
        return CountGrants(self, key)

    def uncount(self, key: str, tokens: int, at: int) -> None:
        """Undo what was counted at that moment, if it still counts."""
        number, current, before = self._states.get(key, self._unused())
        if at // self._window == number:
            self._states[key] = (number, max(current - tokens, 0), before)
        elif at // self._window == number - 1:
            self._states[key] = (number, current, max(before - tokens, 0))

    def inherit(self, other: Engine, now: int) -> None:
        """Take over the counters of another estimate over windows of the same length; other engines as any does."""
        if not isinstance(other, WindowEstimates) or other.rule.period != self.rule.period:
            super().inherit(other, now)
            return
        for key in list(other.keys()):
            number, current, before = other.counts(key, now)
            if current or before:
                self._add(key, (number, current, before), now)

    def counts(self, key: str, now: int) -> Counts:
        """Return the counters as they are now."""
        number = now // self._window
        then, current, before = self._states.get(key, self._unused())
        if then == number:
            return number, current, before
        return number, 0, current if then == number - 1 else 0

    def _free(self, key: str, now: int) -> int:
        number, current, before = self.counts(key, now)
        left = (number + 1) * self._window - now
        return self.limit - current - -(-before * left // self._window)

    def _free_at(self, key: str, tokens: int, now: int) -> int:
        number, current, before = self.counts(key, now)
        if self._free(key, now) >= tokens:
            return now
        room = self.limit - current - tokens
        if room >= 0:
            # Still in this window: the one before must have slid out far enough.
            return (number + 1) * self._window - room * self._window // before
        return (number + 2) * self._window - min((self.limit - tokens) * self._window // current, self._window)

    def _refuse(self, key: str, tokens: int, free: int, now: int) -> RateLimitStatus:
        wait = max(self.ready_at(key, tokens, now) - now, 0)
        return RateLimitStatus(False, max(free, 0), wait * self._seconds, self._reset_after(key, now), self.limit)

    def _reset_after(self, key: str, now: int) -> float:
        number, current, before = self.counts(key, now)
        windows = 2 if current else 1 if before else 0
        return max((number + windows) * self._window - now, 0) * self._seconds if windows else 0.0

    def _unused(self) -> Counts:
        return (0, 0, 0)

    def _is_idle(self, state: Counts, now: int) -> bool:
        number, current, before = state
        age = now // self._window - number
        return age > 1 or not (current or (before and age == 0))


class CountGrants:
    """What was counted for one key and may be undone."""

    __slots__ = ("_counted", "_estimates", "_key")

    def __init__(self, estimates: WindowEstimates, key: str) -> None:
        self._estimates = estimates
        self._key = key
        self._counted: dict[Hashable, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._counted)

    def add(self, holder: Hashable, tokens: int, at: int) -> None:
        """Note what a `take` counted."""
        self._counted[holder] = (tokens, at)

    def age(self, now: int) -> None:
        """Nothing to do: what no longer counts is not undone."""

    def keep(self, holder: Hashable) -> None:
        """The holder uses its permits."""
        self._counted.pop(holder, None)

    def give_back(self, holder: Hashable, now: int) -> None:  # noqa: ARG002 - what was counted knows when
        """Undo what was counted for the holder."""
        if holder in self._counted:
            self._estimates.uncount(self._key, *self._counted.pop(holder))
