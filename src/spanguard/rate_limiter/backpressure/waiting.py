"""How long a producer, a consumer or a drain may wait, and the wait itself."""

from __future__ import annotations

import math
import threading
import time

from spanguard.clock import Clock, first_of
from spanguard.permits import TaskWaiter, ThreadWaiter


class Wait:
    """The time that one call has.

    Attributes:
        end: when it is over, on the clock; infinite for never, 0.0 if the call does not wait at all.
        since: when it began to wait, in nanoseconds since the Unix epoch; 0 if it has not.
    """

    __slots__ = ("_clock", "_start", "end", "since")

    def __init__(self, clock: Clock, seconds: float | None) -> None:
        self._clock = clock
        self._start = 0.0
        self.since = 0
        if seconds is None:
            self.end = math.inf
        else:
            self.end = clock.monotonic() + seconds if seconds else 0.0

    @property
    def may_wait(self) -> bool:
        """Whether there is time left."""
        return self.end == math.inf or self.end > self._clock.monotonic()

    def elapsed(self) -> float:
        """Return seconds since the first wait began; 0.0 if there was none."""
        return self._clock.monotonic() - self._start if self.since else 0.0

    def in_thread(self, waiter: ThreadWaiter) -> None:
        """Block until the waiter is woken or the time is over."""
        left = self._begin()
        self._clock.wait(waiter.event, None if left == math.inf else min(left, threading.TIMEOUT_MAX))

    async def in_task(self, waiter: TaskWaiter) -> None:
        """Suspend until the waiter is woken or the time is over."""
        left = self._begin()
        if left == math.inf:
            await waiter.turn
        else:
            await first_of(waiter.turn, self._clock.sleep_async(left))

    def _begin(self) -> float:
        now = self._clock.monotonic()
        if not self.since:
            self.since = time.time_ns()
            self._start = now
        return self.end - now
