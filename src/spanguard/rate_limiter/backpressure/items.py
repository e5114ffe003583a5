"""The items of a bounded queue, in the order in which they came."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class Entry(Generic[T]):
    """An item in the queue.

    Attributes:
        item: what was put.
        priority: greater is dearer.
        since: the moment at which the queue took it.
    """

    __slots__ = ("item", "priority", "since")

    def __init__(self, item: T, priority: int) -> None:
        self.item = item
        self.priority = priority
        self.since = 0.0


class Items(Generic[T]):
    """First in, first out. Not locked: who calls holds a lock.

    Args:
        by_priority: whether `pop_lowest` is going to be asked; it takes a second index.
    """

    __slots__ = ("_by_priority", "_indexed", "_line")

    def __init__(self, *, by_priority: bool) -> None:
        self._line: OrderedDict[Entry[T], None] = OrderedDict()
        self._by_priority: dict[int, OrderedDict[Entry[T], None]] = {}
        self._indexed = by_priority

    def __len__(self) -> int:
        return len(self._line)

    def append(self, entry: Entry[T]) -> None:
        """Put one at the end."""
        self._line[entry] = None
        if self._indexed:
            self._by_priority.setdefault(entry.priority, OrderedDict())[entry] = None

    def oldest(self) -> Entry[T]:
        """Return the first, and leave it there."""
        return next(iter(self._line))

    def pop_oldest(self) -> Entry[T]:
        """Take the first out."""
        entry, _ = self._line.popitem(last=False)
        if self._indexed:
            self._forget(entry)
        return entry

    def pop_lowest(self, below: int) -> Entry[T] | None:
        """Take one of the lowest priority out, if that is below this one; of several the newest, the last to be served."""
        lowest = min(self._by_priority, default=below)
        if lowest >= below:
            return None
        entry = next(reversed(self._by_priority[lowest]))
        del self._line[entry]
        self._forget(entry)
        return entry

    def _forget(self, entry: Entry[T]) -> None:
        same = self._by_priority[entry.priority]
        del same[entry]
        if not same:
            del self._by_priority[entry.priority]
