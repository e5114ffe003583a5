"""Shedding by sojourn time: an item that was too long in the queue is not worth serving any more.

Controlled delay, after K. Nichols and V. Jacobson, "Controlling Queue Delay", ACM Queue 10(5), 2012, and RFC 8289. What
it looks at is not how long the queue is, but how long an item has been in it when its turn comes. A burst that is
worked off within an `interval` passes. Where every item of a whole interval was above `target`, the queue stands: one item
is dropped, the next after interval/sqrt(2), then interval/sqrt(3), and so on, ever faster, until the delay is below the target
again. The root comes from TCP, whose throughput falls with the root of the share of packets that are lost. Who sheds again soon after
it stopped goes on at about the pace that was enough before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from spanguard.errors import ConfigurationError
from spanguard.forms import wrong_seconds

_SOON: Final = 16
"""Intervals within which a pace is remembered; RFC 8289, section 5.5, has the same number."""


@dataclass(frozen=True, slots=True)
class CoDel:
    """When items that stay too long are dropped.

    Attributes:
        target: seconds in the queue that are fine for good. RFC 8289: 5 ms, or 5 to 10 % of the interval.
        interval: seconds for which it may be longer. RFC 8289: 100 ms, or the longest that an answer usually takes.

    Raises:
        ConfigurationError: one is not above 0 and finite, or the target is not below the interval.
    """

    target: float = 0.005
    interval: float = 0.1

    def __post_init__(self) -> None:
        problems = [wrong_seconds(f"CoDel: {name}", getattr(self, name)) for name in ("target", "interval")]
        if not any(problems) and self.target >= self.interval:
            problems.append(
                f"CoDel: target is {self.target!r} and interval {self.interval!r}; the target must be below the interval."
            )
        if any(problems):
            raise ConfigurationError([problem for problem in problems if problem])


class Sojourn:
    """What a queue remembers between one item's turn and the next. Not locked: who calls holds a lock.

    Attributes:
        is_shedding: whether the queue stands.
    """

    __slots__ = ("_above_since", "_before", "_codel", "_count", "_next", "is_shedding")

    def __init__(self, codel: CoDel) -> None:
        self._codel = codel
        self.is_shedding = False
        self._above_since: float | None = None
        self._next = -math.inf
        self._count = 0
        self._before = 0

    def sheds(self, sojourn: float, now: float, *, is_last: bool) -> bool:
        """Tell whether to drop the item whose turn it is.

        Args:
            sojourn: seconds that it has been in the queue.
            now: the present.
            is_last: whether nothing waits behind it; such a queue does not stand, and a last item is never dropped.
        """
        if sojourn < self._codel.target or is_last:
            self._above_since = None
            self.is_shedding = False
            return False
        if self._above_since is None:
            self._above_since = now
        if self.is_shedding:
            if now < self._next:
                return False
            self._count += 1
            self._next += self._pause()
            return True
        if now - self._above_since < self._codel.interval:
            return False
        self._begin(now)
        return True

    def _begin(self, now: float) -> None:
        self.is_shedding = True
        lately = self._count - self._before
        is_soon = now - self._next < _SOON * self._codel.interval
        self._count = lately if is_soon and lately > 1 else 1
        self._before = self._count
        self._next = now + self._pause()

    def _pause(self) -> float:
        return self._codel.interval / math.sqrt(self._count)
