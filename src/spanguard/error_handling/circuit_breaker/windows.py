"""Sliding windows: how many of the latest calls failed or were slow. O(1) a call, no clock and no lock of their own."""

from __future__ import annotations

from collections import deque
from typing import Any, Final, Protocol

from spanguard.error_handling.circuit_breaker.settings import CountWindow, Window

BUCKETS: Final = 10
"""Parts of a time window, as in the rolling statistics of Netflix Hystrix."""


class SlidingWindow(Protocol):
    """The totals are right after `add` or `expire` with the present time."""

    calls: int
    failures: int
    slow: int

    def add(self, now: float, *, failed: bool, slow: bool) -> None:
        """Take in a call that ended at `now` seconds."""
        ...

    def expire(self, now: float) -> None:
        """Let go of what is too old at `now` seconds."""
        ...

    def take_over(self, other: Any) -> None:
        """Take in what another window of the same kind holds."""
        ...


def carried_over(window: SlidingWindow | None, settings: Window) -> SlidingWindow:
    """Return a window of these settings that holds what another one held, as far as it can.

    A window of calls and one of seconds know different things, so that the other kind begins empty.
    """
    new = new_window(settings)
    if type(new) is type(window):
        new.take_over(window)
    return new


def new_window(settings: Window) -> SlidingWindow:
    """Return an empty window of the kind that is asked for."""
    return _LastCalls(settings.size) if isinstance(settings, CountWindow) else _LastSeconds(settings.seconds)


class _LastCalls:
    def __init__(self, size: int) -> None:
        self._size = size
        self._ring: deque[tuple[bool, bool]] = deque()
        self.calls = self.failures = self.slow = 0

    def add(self, now: float, *, failed: bool, slow: bool) -> None:  # noqa: ARG002 - time does not matter here
        if self.calls == self._size:
            oldest_failed, oldest_slow = self._ring.popleft()
            self.failures -= oldest_failed
            self.slow -= oldest_slow
        else:
            self.calls += 1
        self._ring.append((failed, slow))
        self.failures += failed
        self.slow += slow

    def expire(self, now: float) -> None:
        """Nothing grows old here."""

    def take_over(self, other: _LastCalls) -> None:
        for failed, slow in other._ring:
            self.add(0.0, failed=failed, slow=slow)


class _Bucket:
    __slots__ = ("calls", "failures", "number", "slow")

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls = self.failures = self.slow = 0


class _LastSeconds:
    def __init__(self, seconds: float) -> None:
        self._width = seconds / BUCKETS
        self._buckets: deque[_Bucket] = deque()
        self.calls = self.failures = self.slow = 0

    def add(self, now: float, *, failed: bool, slow: bool) -> None:
        self.expire(now)
        number = int(now / self._width)
        if not self._buckets or self._buckets[-1].number < number:
            self._buckets.append(_Bucket(number))
        for tally in (self, self._buckets[-1]):
            tally.calls += 1
            tally.failures += failed
            tally.slow += slow

    def expire(self, now: float) -> None:
        oldest = int(now / self._width) - BUCKETS + 1
        while self._buckets and self._buckets[0].number < oldest:
            gone = self._buckets.popleft()
            self.calls -= gone.calls
            self.failures -= gone.failures
            self.slow -= gone.slow

    def take_over(self, other: _LastSeconds) -> None:
        for old in other._buckets:
            number = int(old.number * other._width / self._width)
            if not self._buckets or self._buckets[-1].number < number:
                self._buckets.append(_Bucket(number))
            for tally in (self, self._buckets[-1]):
                tally.calls += old.calls
                tally.failures += old.failures
                tally.slow += old.slow
