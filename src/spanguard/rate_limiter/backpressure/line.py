"""Those who wait for something that comes in pieces: a place, an item, the end."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from spanguard.permits import Waiter


class Line:
    """First come, first called. Who was called comes by and looks for itself. Not locked: who calls holds a lock.

    Attributes:
        waiting: who waits, in order.
        called: how many were called and have not come by yet.
    """

    __slots__ = ("called", "waiting")

    def __init__(self) -> None:
        self.waiting: OrderedDict[Waiter, None] = OrderedDict()
        self.called = 0

    def __len__(self) -> int:
        return len(self.waiting)

    def __iter__(self) -> Iterator[Waiter]:
        return iter(self.waiting)

    def stand(self, waiter: Waiter, *, first: bool = False) -> None:
        """Join the line at its end, or, for one who was called in vain, at its head."""
        self.waiting[waiter] = None
        if first:
            self.waiting.move_to_end(waiter, last=False)

    def call(self) -> Waiter:
        """Take the first out of the line, for somebody to wake."""
        waiter, _ = self.waiting.popitem(last=False)
        waiter.admitted = True
        self.called += 1
        return waiter

    def leave(self, waiter: Waiter) -> bool:
        """Go, for whatever reason. Tells whether it had been called. Who is gone already may go again."""
        if not waiter.admitted:
            self.waiting.pop(waiter, None)
            return False
        waiter.admitted = False
        self.called -= 1
        return True
