"""From single calls to a limit: what was seen in a window, and the limit that follows from it."""

from __future__ import annotations

import math
import threading
from typing import Final, NamedTuple

from spanguard.rate_limiter.adaptive.algorithms import Estimator, Window
from spanguard.semconv import AdaptiveReason
from spanguard.telemetry.internal import safely

_SHORTEST: Final = 1e-9
"""Seconds that a window's calls took at least: a coarse clock may see none pass, and algorithms divide by them."""


class Move(NamedTuple):
    """The limit moved far enough to tell.

    Attributes:
        origin: the limit that was told before.
        target: the limit from now on.
        reason: why.
        window: what was seen.
        baseline: the latency that it was held against, if any.
    """

    origin: int
    target: int
    reason: AdaptiveReason
    window: Window
    baseline: float | None


class Meter:
    """The calls of the present window, and the limit. Safe from threads.

    Attributes:
        lock: what guards everything here.
    """

    _peak: int

    def __init__(
        self,
        estimator: Estimator,
        limit: int,
        bounds: tuple[int, int],
        seconds: float,
        calls: int,
        step: float,
        start: float,
    ) -> None:
        self._estimator = estimator
        self._estimate = float(limit)
        self._told = limit
        self._bounds = bounds
        self._seconds = seconds
        self._calls = calls
        self._step = step
        self._latency: float | None = None
        self._baseline: float | None = None
        self._reason: AdaptiveReason = "headroom"
        self.lock = threading.Lock()
        self._begin(start)

    @property
    def limit(self) -> int:
        """Calls that may run at once: the estimate, rounded down."""
        return int(self._estimate)

    @property
    def latency(self) -> float | None:
        """The mean latency of the last window."""
        return self._latency

    @property
    def baseline(self) -> float | None:
        """What the last window was held against."""
        return self._baseline

    def add(self, latency: float | None, running: int, now: float) -> bool:
        """Note a call that ended, with its latency, or without one if it was dropped. Who calls holds the lock.

        Args:
            latency: seconds that it took; None if it was dropped.
            running: calls that ran at once.
            now: the present.

        Returns:
            Whether that was the last of its window, so that there is a new estimate.
        """
        self._count += 1
        if latency is None:
            self._has_drop = True
        else:
            self._measured += 1
            self._sum += latency
        self._peak = max(self._peak, running)
        if self._count < self._calls or now - self._since < self._seconds:
            return False
        self._estimate_anew()
        self._begin(now)
        return True

    def moved(self) -> Move | None:
        """Return how the limit moved since this was told last, if by a step. Who calls holds the lock."""
        if abs(self.limit - self._told) < max(1.0, self._step * self._told):
            return None
        origin, self._told = self._told, self.limit
        return Move(origin, self.limit, self._reason, self._last, self._baseline)

    def start_again(self, now: float) -> None:
        """Begin a new window, with a lock that no thread of the parent holds. Runs in a forked child."""
        self.lock = threading.Lock()
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._since = now
        self._count = 0
        self._measured = 0
        self._sum = 0.0
        self._peak = 0
        self._has_drop = False

    def _estimate_anew(self) -> None:
        self._latency = max(self._sum / self._measured, _SHORTEST) if self._measured else None
        self._last = Window(self._latency, self._peak, self._has_drop)
        with safely("adaptive limiter"):  # an algorithm may be the user's own
            limit, reason = self._estimator.next(self._estimate, self._last)
            if math.isnan(limit):
                raise ValueError(f"{type(self._estimator).__name__} estimates a limit that is no number")
            lowest, highest = self._bounds
            self._estimate, self._reason = min(max(limit, lowest), highest), reason
            self._baseline = self._estimator.baseline
