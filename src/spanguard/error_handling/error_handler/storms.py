"""Equal errors are told apart from new ones: the first is said at once, the rest of a window in one summary."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

MAX_KINDS: Final = 1000
"""Kinds of errors that are told apart at a time; what comes beyond counts as one kind."""

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Summary(Generic[S]):
    """So many errors like `sample` came between two moments, in seconds since the Unix epoch."""

    sample: S
    count: int
    first_at: float
    last_at: float


class _Window(Generic[S]):
    __slots__ = ("count", "ends", "first_at", "last_at", "sample")

    def __init__(self, sample: S, ends: float) -> None:
        self.sample = sample
        self.ends = ends
        self.count = 0
        self.first_at = self.last_at = 0.0

    def summary(self) -> Summary[S]:
        return Summary(self.sample, self.count, self.first_at, self.last_at)


class Storms(Generic[S]):
    """The windows under way. Not safe from threads: its owner holds a lock.

    Args:
        window: seconds from the first error of a kind in which further ones are only counted.
    """

    def __init__(self, window: float) -> None:
        self._window = window
        self._windows: dict[Hashable, _Window[S]] = {}

    def count(self, kind: Hashable, *, at: float) -> bool:
        """Count an error into the window of its kind; tell whether there is one.

        Args:
            kind: equal for equal errors.
            at: seconds since the Unix epoch.
        """
        window = self._windows.get(self._told_apart(kind))
        if window is None:
            return False
        window.first_at = window.first_at if window.count else at
        window.last_at = at
        window.count += 1
        return True

    def begin(self, kind: Hashable, sample: S, *, at: float, now: float) -> bool:
        """Begin the window of a kind, whose first error is to be said at once.

        Args:
            kind: equal for equal errors.
            sample: what the summary is to say of those that follow.
            at: seconds since the Unix epoch.
            now: seconds of a monotonic clock.

        Returns:
            False if another thread was faster: then the error was counted into its window.
        """
        if self.count(kind, at=at):
            return False
        self._windows[self._told_apart(kind)] = _Window(sample, now + self._window)
        return True

    def pop_ended(self, now: float) -> list[Summary[S]]:
        """End the windows whose time is over; return the summaries of those in which something was counted.

        A kind that came again is given a new window at once: a storm that goes on says one summary a window.
        """
        return list(self._pop({kind for kind, window in self._windows.items() if window.ends <= now}, now))

    def pop_all(self) -> list[Summary[S]]:
        """End every window, and return the summaries that were to come."""
        summaries = [window.summary() for window in self._windows.values() if window.count]
        self._windows.clear()
        return summaries

    def next_summary_at(self) -> float | None:
        """Return the monotonic second of the next summary; None if nothing was counted."""
        return min((window.ends for window in self._windows.values() if window.count), default=None)

    def _told_apart(self, kind: Hashable) -> Hashable:
        return None if kind not in self._windows and len(self._windows) >= MAX_KINDS else kind

    def _pop(self, kinds: set[Hashable], now: float) -> Iterator[Summary[S]]:
        for kind in kinds:
            window = self._windows.pop(kind)
            if window.count:
                self._windows[kind] = _Window(window.sample, now + self._window)
                yield window.summary()
