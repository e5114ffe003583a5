"""The lock of a desk, and the way out for those who give up while it may be held."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from spanguard.rate_limiter.waiting import Waiter


class Desk(ABC):
    """Decides under one lock.

    Attributes:
        lock: guards state only; nobody waits or asks a server while holding it.
        leaving: those who gave up. Who does so may do it in the middle of a garbage collection, while this very thread
            holds the lock: whoever has the lock or comes next sees to it.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.leaving: deque[Waiter] = deque()

    @abstractmethod
    def _settle(self) -> int:
        """See to those who gave up, under the lock; return the present."""

    @contextmanager
    def _present(self) -> Iterator[int]:
        """Hold the lock; what it gives is the present, in which those who gave up are out of the lines."""
        with self.lock:
            yield self._settle()
        self._sweep()

    def _sweep(self) -> None:
        # Who holds the lock now comes by here afterwards, and so finds who gave up meanwhile.
        while self.leaving and self.lock.acquire(blocking=False):
            try:
                self._settle()
            finally:
                self.lock.release()

    def _give_up(self, waiter: Waiter) -> None:
        self.leaving.append(waiter)
        self._sweep()
