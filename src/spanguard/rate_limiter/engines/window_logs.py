"""The sliding window as an exact log: who was admitted when, for as long as it counts.

A request counts from the moment of its admission until just before a whole window later, so in no window, wherever it is
laid, are more than `limit` admitted. Each entry is added once and goes once: a decision is O(1) amortised, and one that
is refused looks at no more entries than it asked for tokens.
"""

from __future__ import annotations

from collections.abc import Container, Hashable
from typing import Final

from spanguard.rate_limiter.deciding import Engine
from spanguard.rate_limiter.engines.table import TICKS_PER_SECOND, Table
from spanguard.rate_limiter.rules import Rule
from spanguard.rate_limiter.status import RateLimitStatus

_GONE, _USED, _HEAD, _FIRST = 0, 1, 2, 3
_MANY: Final = 512
_new_status = tuple.__new__

Log = list[int]
"""One list for each key, as that is the smallest: when the oldest entry that counts will be gone, the tokens in all that
do, the index of that oldest, then the entries, each a moment and its tokens."""


class WindowLogs(Table[Log]):
    """A log for each key."""

    __slots__ = ("_seconds", "_window", "_window_seconds")

    def __init__(self, rule: Rule, held: Container[str] = ()) -> None:
        super().__init__(rule, held, per_tick=rule.period.denominator)
        self._window = rule.period.numerator * int(TICKS_PER_SECOND)
        self._window_seconds = float(rule.period)
        self._seconds = 1 / self.per_second

    def take(self, key: str, tokens: int, now: int, behind: int = 0) -> RateLimitStatus:
        """Enter the request if there is room; say what is left, or how long it takes until there is."""
        if now >= self._sweep_at:
            self._sweep(now)
        log = self._states.get(key)
        if log is None:
            if behind:
                return self.peek(key, tokens, now)._replace(allowed=False, retry_after=self._window_seconds)
            self._add(key, [now + self._window, tokens, _FIRST, now, tokens], now)
            return RateLimitStatus(True, self.limit - tokens, 0.0, self._window_seconds, self.limit)
        if now >= log[_GONE]:
            self._expire(log, now)
        used = log[_USED] + tokens
        if used > self.limit or behind:
            return self._refuse(key, log, tokens + behind, now)
        log[_USED] = used
        log.append(now)
        log.append(tokens)
        return _new_status(
            RateLimitStatus, (True, self.limit - used, 0.0, self._window_seconds, self.limit, 0.0, False)
        )

    def peek(self, key: str, tokens: int, now: int) -> RateLimitStatus:
        """Say what `take` would, and take nothing."""
        log = self._states.get(key) or self._unused()
        used = self._used(log, now)
        if used + tokens > self.limit:
            return self._refuse(key, log, tokens, now)
        return RateLimitStatus(True, self.limit - used, 0.0, self._reset_after(log, now), self.limit)

    def ready_at(self, key: str, tokens: int, now: int) -> int:
        """Return when so many tokens are free."""
        windows, tokens = divmod(tokens - 1, self.limit)
        return self._free_at(self._states.get(key) or self._unused(), tokens + 1, now) + windows * self._window

    def grants(self, key: str) -> LogGrants:
        """Return an empty record of what may be handed back."""
        return LogGrants(self, key)

    def strike_out(self, key: str, tokens: int, at: int) -> None:
        """Undo the entry that was made at that moment, if it is still there."""
        log = self._states.get(key) or self._unused()
        for index in range(len(log) - 2, log[_HEAD] - 1, -2):
            if log[index] <= at:
                if log[index] == at:
                    back = min(tokens, log[index + 1])
                    log[index + 1] -= back
                    log[_USED] -= back
                    tokens -= back
                if log[index] < at or not tokens:
                    return

    def entries(self, key: str) -> list[tuple[int, int]]:
        """Return the moments and tokens of what was admitted, the oldest first."""
        log = self._states.get(key) or self._unused()
        return [(log[index], log[index + 1]) for index in range(log[_HEAD], len(log), 2)]

    def inherit(self, other: Engine, now: int) -> None:
        """Take over every entry of another log that counts here too; other engines as any does."""
        if not isinstance(other, WindowLogs):
            super().inherit(other, now)
            return
        for key in list(other.keys()):
            entries = [(at // other.per_tick * self.per_tick, tokens) for at, tokens in other.entries(key)]
            mine = [(at, tokens) for at, tokens in entries if at > now - self._window]
            if mine:
                flat = [number for entry in mine for number in entry]
                self._add(key, [mine[0][0] + self._window, sum(tokens for _, tokens in mine), _FIRST, *flat], now)

    def _expire(self, log: Log, now: int) -> None:
        head, end, used, horizon = log[_HEAD], len(log), log[_USED], now - self._window
        while head < end and log[head] <= horizon:
            used -= log[head + 1]
            head += 2
        log[_USED] = used
        # If none is left, the next entry will be made now.
        log[_GONE] = (log[head] if head < end else now) + self._window
        # To close the gap costs a move of what comes after it: so only when the gap is the greater part.
        if head == end or (head > _MANY and 2 * head > end):
            del log[_FIRST:head]
            head = _FIRST
        log[_HEAD] = head

    def _used(self, log: Log, now: int) -> int:
        used, horizon = log[_USED], now - self._window
        for index in range(log[_HEAD], len(log), 2):
            if log[index] > horizon:
                break
            used -= log[index + 1]
        return used

    def _free_at(self, log: Log, tokens: int, now: int) -> int:
        missing = log[_USED] + tokens - self.limit
        at = now - self._window
        for index in range(log[_HEAD], len(log), 2):
            if missing <= 0:
                break
            at = log[index]
            missing -= log[index + 1]
        return at + self._window

    def _refuse(self, key: str, log: Log, tokens: int, now: int) -> RateLimitStatus:
        return RateLimitStatus(
            False,
            max(self.limit - self._used(log, now), 0),
            max(self.ready_at(key, tokens, now) - now, 0) * self._seconds,
            self._reset_after(log, now),
            self.limit,
        )

    def _reset_after(self, log: Log, now: int) -> float:
        return max(log[-2] + self._window - now, 0) * self._seconds if len(log) > _FIRST else 0.0

    def _unused(self) -> Log:
        return [0, 0, _FIRST]

    def _is_idle(self, state: Log, now: int) -> bool:
        return len(state) == _FIRST or state[-2] <= now - self._window


class LogGrants:
    """Entries of one log that may be struck out."""

    __slots__ = ("_entries", "_key", "_logs")

    def __init__(self, logs: WindowLogs, key: str) -> None:
        self._logs = logs
        self._key = key
        self._entries: dict[Hashable, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, holder: Hashable, tokens: int, at: int) -> None:
        """Note what a `take` entered."""
        self._entries[holder] = (tokens, at)

    def age(self, now: int) -> None:
        """Nothing to do: an entry that no longer counts is not there to be struck out."""

    def keep(self, holder: Hashable) -> None:
        """The holder uses its permits."""
        self._entries.pop(holder, None)

    def give_back(self, holder: Hashable, now: int) -> None:  # noqa: ARG002 - entries know when they were made
        """Strike out the holder's entry."""
        if holder in self._entries:
            self._logs.strike_out(self._key, *self._entries.pop(holder))
