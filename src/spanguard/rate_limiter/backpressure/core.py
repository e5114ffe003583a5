"""What a bounded queue holds and who waits for it, under one lock.

A producer that waits is called as soon as a place is free, which is kept for it: nobody overtakes. A consumer that waits
is called when there is an item, and takes the first one that is still there: no item is ever in the hands of one who may
have gone away. So whoever is cancelled, at whatever point, leaves nothing lost and nothing twice.

Who goes away may do so in the middle of a garbage collection, while this very thread holds the lock. So nobody blocks
for that: it is put down, and whoever has the lock looks again after letting it go.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from itertools import chain
from typing import Final, Generic, Literal, TypeVar

from spanguard.clock import Clock
from spanguard.permits import TaskWaiter, ThreadWaiter, Waiter
from spanguard.rate_limiter.backpressure.codel import CoDel, Sojourn
from spanguard.rate_limiter.backpressure.items import Entry, Items
from spanguard.rate_limiter.backpressure.line import Line
from spanguard.rate_limiter.backpressure.settings import Policy
from spanguard.rate_limiter.backpressure.signals import Tallies
from spanguard.rate_limiter.backpressure.stats import BackpressureStats, PressureChange
from spanguard.semconv import PressureReason, PutOutcome, ShedReason

T = TypeVar("T")
W = TypeVar("W", ThreadWaiter, TaskWaiter)

ABANDONED: Final = "abandoned"
"""The answer of a queue that belongs to the parent of this process: ask the one that took its place."""


class Core(Generic[T]):
    """The state of one queue.

    Attributes:
        producers: those who wait for a place.
        consumers: those who wait for an item.
        drainers: those who wait for the end.
        news: changes of the pressure that nobody has told yet, in order.
        dropped: items that were dropped, and why, of which nobody has been told yet.
    """

    def __init__(
        self, name: str, limit: int, policy: Policy, high: int, low: int, codel: CoDel | None, clock: Clock
    ) -> None:
        self._name = name
        self._limit = limit
        self._policy = policy
        self._high = high
        self._low = low
        self._monotonic = clock.monotonic
        self._lock = threading.Lock()
        self._items: Items[T] = Items(by_priority=policy == "priority")
        self._sojourn = None if codel is None else Sojourn(codel)
        self.producers, self.consumers, self.drainers = Line(), Line(), Line()
        self._leaving: deque[tuple[Line, Waiter, bool]] = deque()
        self._to_wake: deque[tuple[Line, Waiter]] = deque()
        self._tallies = Tallies(name, owner=self)
        self._drained = 0
        self._pressure_since: float | None = None
        self._shed_before = 0
        self._is_closed = False
        self._is_abandoned = False
        self.news: deque[PressureChange] = deque()
        self.dropped: deque[tuple[T, ShedReason]] = deque()

    @property
    def depth(self) -> int:
        """Items in the queue now."""
        return len(self._items)

    @property
    def is_closed(self) -> bool:
        """Whether it takes nothing more."""
        return self._is_closed

    @property
    def under_pressure(self) -> bool:
        """Whether pressure began and has not ended."""
        return self._pressure_since is not None

    def put(self, entry: Entry[T], kind: Callable[[], W] | None) -> W | PutOutcome | Literal["abandoned"]:
        """Offer an item.

        Returns:
            What became of it; or a waiter of this kind that stands in the line now. `claim` tells what became of it then.
        """
        with self._lock:
            answer = self._admit(entry, kind)
            self._end_step()
        self._after_step()
        return answer

    def claim(self, waiter: Waiter, entry: Entry[T]) -> PutOutcome | Literal["abandoned"]:
        """End the wait of a producer, who was woken or has no more time."""
        with self._lock:
            if self._is_abandoned:
                return ABANDONED
            was_called = self.producers.leave(waiter)
            if self._is_closed:
                outcome = self._count("closed")
            else:
                outcome = self._accept(entry) if was_called else self._count("timed_out")
            self._end_step()
        self._after_step()
        return outcome

    def take(
        self, kind: Callable[[], W] | None, former: Waiter | None = None
    ) -> Entry[T] | W | Literal["empty", "closed", "abandoned"]:
        """Take the first item.

        Args:
            kind: what to stand in the line as if there is none.
            former: who has waited for it up to now; it has left the line then.
        """
        with self._lock:
            was_called = former is not None and self.consumers.leave(former)
            answer = self._find(kind, was_called=was_called)
            self._end_step()
        self._after_step()
        return answer

    def leave(self, line: Line, waiter: Waiter) -> None:
        """End the wait of one who goes away."""
        self._leaving.append((line, waiter, True))
        self._after_step()

    def close(self) -> None:
        """Take nothing more; give what there is."""
        with self._lock:
            self._is_closed = True
            self._end_step()
        self._after_step()

    def await_end(self, kind: Callable[[], W]) -> W | None:
        """Return a waiter that is woken when nothing is left in the closed queue, or None if that is so already."""
        with self._lock:
            if not self._items:
                return None
            waiter = kind()
            self.drainers.stand(waiter)
            return waiter

    def take_rest(self, waiter: Waiter | None) -> list[T]:
        """Take all that is left out of the closed queue; this waiter, if any, has waited long enough."""
        with self._lock:
            if waiter is not None:
                self.drainers.leave(waiter)
            rest = [self._items.pop_oldest().item for _ in range(len(self._items))]
            self._drained += len(rest)
            self._end_step("drained")
        self._after_step()
        return rest

    def stats(self) -> BackpressureStats:
        """Return what is known now."""
        with self._lock:
            puts, shed = self._tallies.puts, self._tallies.shed
            return BackpressureStats(
                name=self._name,
                limit=self._limit,
                depth=len(self._items),
                under_pressure=self.under_pressure,
                oldest_age=self._oldest_age(),
                accepted=puts["accepted"].value,
                rejected=puts["rejected"].value,
                timed_out=puts["timed_out"].value,
                cancelled=puts["cancelled"].value,
                closed=puts["closed"].value,
                shed_on_arrival=puts["shed"].value,
                taken=self._tallies.gets.value,
                shed={reason: cell.value for reason, cell in shed.items()},
                drained=self._drained,
                producers=len(self.producers),
                consumers=len(self.consumers),
            )

    def abandon(self) -> None:
        """Send every task that waits to the queue that took this one's place. Runs in a forked child."""
        self._is_abandoned = True
        # The thread that may have held the lock is not here, nor are those that wait.
        self._lock = threading.Lock()
        for waiter in chain(self.producers, self.consumers, self.drainers):
            if isinstance(waiter, TaskWaiter):
                waiter.wake()

    def _admit(self, entry: Entry[T], kind: Callable[[], W] | None) -> W | PutOutcome | Literal["abandoned"]:
        if self._is_abandoned:
            return ABANDONED
        if self._is_closed:
            return self._count("closed")
        if self._free() > 0:
            return self._accept(entry)
        return self._admit_to_full(entry, kind)

    def _admit_to_full(self, entry: Entry[T], kind: Callable[[], W] | None) -> W | PutOutcome:
        match self._policy:
            case "block" if kind is not None:
                waiter = kind()
                self.producers.stand(waiter)
                return waiter
            case "drop_oldest":
                self._drop(self._items.pop_oldest(), "oldest")
                return self._accept(entry)
            case "drop_newest":
                self._drop(entry, "newest")
                return self._count("shed")
            case "priority":
                lowest = self._items.pop_lowest(entry.priority)
                self._drop(lowest or entry, "priority")
                return self._accept(entry) if lowest else self._count("shed")
            case _:
                return self._count("rejected")

    def _find(
        self, kind: Callable[[], W] | None, *, was_called: bool
    ) -> Entry[T] | W | Literal["empty", "closed", "abandoned"]:
        if self._is_abandoned:
            return ABANDONED
        entry = self._pop() if self._items else None
        if entry is not None:
            self._tallies.gets.value += 1
            return entry
        if self._is_closed:
            return "closed"
        if kind is None:
            return "empty"
        waiter = kind()
        self.consumers.stand(waiter, first=was_called)
        return waiter

    def _pop(self) -> Entry[T]:
        """Take the first item of which the sojourn time says that it is worth serving; the last one always is."""
        entry = self._items.pop_oldest()
        if self._sojourn is not None:
            now = self._monotonic()
            while self._sojourn.sheds(now - entry.since, now, is_last=not self._items):
                self._drop(entry, "sojourn")
                entry = self._items.pop_oldest()
        return entry

    def _free(self) -> int:
        return self._limit - len(self._items) - self.producers.called

    def _accept(self, entry: Entry[T]) -> PutOutcome:
        entry.since = self._monotonic()
        self._items.append(entry)
        return self._count("accepted")

    def _drop(self, entry: Entry[T], reason: ShedReason) -> None:
        self._tallies.shed[reason].value += 1
        self.dropped.append((entry.item, reason))

    def _count(self, outcome: PutOutcome) -> PutOutcome:
        self._tallies.puts[outcome].value += 1
        return outcome

    def _end_step(self, relief: PressureReason = "relieved") -> None:
        if self.producers.waiting or self.consumers.waiting or self.drainers.waiting:
            self._call_those_who_are_due()
        is_shedding = self._sojourn is not None and self._sojourn.is_shedding
        if self._pressure_since is None:
            if len(self._items) >= self._high or is_shedding:
                self._begin_pressure("sojourn" if is_shedding else "high_watermark")
        elif relief == "drained" or (len(self._items) <= self._low and not is_shedding):
            self._end_pressure(relief)

    def _call_those_who_are_due(self) -> None:
        while self.producers.waiting and (self._is_closed or self._free() > 0):
            self._call(self.producers)
        is_over = self._is_closed and not self._items
        while self.consumers.waiting and (is_over or self.consumers.called < len(self._items)):
            self._call(self.consumers)
        while self.drainers.waiting and is_over:
            self._call(self.drainers)

    def _call(self, line: Line) -> None:
        self._to_wake.append((line, line.call()))

    def _begin_pressure(self, reason: PressureReason) -> None:
        self._pressure_since = self._monotonic()
        self._shed_before = self._shed()
        self.news.append(PressureChange(True, reason, len(self._items), self._limit, self._oldest_age()))

    def _end_pressure(self, reason: PressureReason) -> None:
        since, self._pressure_since = self._pressure_since, None
        lasted = self._monotonic() - (since or 0.0)
        shed = self._shed() - self._shed_before
        self.news.append(PressureChange(False, reason, len(self._items), self._limit, self._oldest_age(), lasted, shed))

    def _shed(self) -> int:
        return sum(cell.value for cell in self._tallies.shed.values())

    def _oldest_age(self) -> float:
        return self._monotonic() - self._items.oldest().since if self._items else 0.0

    def _after_step(self) -> None:
        while True:
            # Who holds the lock now comes by here afterwards, and so finds what was put down meanwhile.
            while self._leaving and self._lock.acquire(blocking=False):
                try:
                    self._let_go()
                    self._end_step()
                finally:
                    self._lock.release()
            try:
                line, waiter = self._to_wake.popleft()
            except IndexError:
                return
            if not waiter.wake():
                self._leaving.append((line, waiter, False))

    def _let_go(self) -> None:
        while self._leaving:
            line, waiter, is_cancelled = self._leaving.popleft()
            line.leave(waiter)
            if is_cancelled and line is self.producers:
                self._count("cancelled")
