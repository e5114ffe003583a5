"""How long those who were served had waited, in little memory and with a known error."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Final

_FINEST: Final = 1e-6  # seconds; what is shorter counts as this
_PER_DOUBLING: Final = 8
_LAST: Final = 48 * _PER_DOUBLING  # nine years


@dataclass(frozen=True, slots=True)
class TimeInQueue:
    """How long the requests that had to wait and got their permits stood in line, in seconds; 0 where none had to.

    The percentiles come from a histogram whose bounds grow by 2**(1/8), with the middle of a bucket standing for all in it:
    for waits of a microsecond and more, each is within 4.5 % of the true one. (The idea of a histogram with a bounded
    relative error: Masson, Rim and Lee, "DDSketch", VLDB 2019.)

    Attributes:
        p50: half of them waited no longer.
        p90: nine of ten waited no longer.
        p99: all but one of a hundred waited no longer.
        longest: the longest wait, exactly.
    """

    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    longest: float = 0.0


class WaitTimes:
    """A histogram of waits. Not locked: who calls holds a lock."""

    __slots__ = ("_counts", "_longest")

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._longest = 0.0

    def add(self, seconds: float) -> None:
        """Count one wait."""
        self._longest = max(self._longest, seconds)
        self._counts[min(math.floor(math.log2(max(seconds / _FINEST, 1.0)) * _PER_DOUBLING), _LAST)] += 1

    def summary(self) -> TimeInQueue:
        """Return the percentiles, by nearest rank."""
        return TimeInQueue(self._percentile(50), self._percentile(90), self._percentile(99), self._longest)

    def _percentile(self, percent: int) -> float:
        rank = math.ceil(self._counts.total() * percent / 100)
        for bucket in sorted(self._counts):
            rank -= self._counts[bucket]
            if rank <= 0:
                return min(_FINEST * 2 ** ((bucket + 0.5) / _PER_DOUBLING), self._longest)
        return 0.0
