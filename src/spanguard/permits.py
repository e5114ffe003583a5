"""Permits for calls at once, and the queue of those who wait for one: first come, first served, threads and tasks alike.

The bulkhead and the adaptive limiter stand on it, and the bounded queue on its waiters.

A permit that comes back goes straight to the first in the queue, so nobody overtakes. Who gives a permit back may do so in
the middle of a garbage collection, while this very thread holds the lock. So nobody blocks for that: it is put down,
and whoever has the lock looks again after letting it go. Thus no permit is lost, and none sleeps.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Protocol

from spanguard.clock import Clock, first_of
from spanguard.telemetry import Cell
from spanguard.telemetry.deadline import remaining


class Waiter(Protocol):
    """Somebody in the queue.

    Attributes:
        admitted: whether it has its permit.
    """

    admitted: bool

    def wake(self) -> bool:
        """Let it look whether it was admitted. False if nobody is left to look."""
        ...


class ThreadWaiter:
    """A thread in the queue."""

    __slots__ = ("admitted", "event")

    def __init__(self) -> None:
        self.admitted = False
        self.event = threading.Event()

    def wake(self) -> bool:
        """Wake the thread."""
        self.event.set()
        return True


class TaskWaiter:
    """A task in the queue."""

    __slots__ = ("_loop", "admitted", "turn")

    def __init__(self) -> None:
        self.admitted = False
        self._loop = asyncio.get_running_loop()
        self.turn: asyncio.Future[None] = self._loop.create_future()

    def wake(self) -> bool:
        """Wake the task, from any thread. False if its loop is closed."""
        try:
            self._loop.call_soon_threadsafe(_resolve, self.turn)
        except RuntimeError:
            return False
        return True


def _resolve(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


class Permits:
    """So many permits, and a queue of so many places.

    Attributes:
        limit: permits in all.
        in_use: permits that are out; those of waiters who were admitted and have not yet resumed are among them.
        lock: what guards everything here.
    """

    __slots__ = ("_admitted", "_coming_back", "_places", "_to_wake", "_waiting", "in_use", "limit", "lock")

    def __init__(self, limit: int, places: int, admitted: Cell) -> None:
        self.limit = limit
        self.in_use = 0
        self.lock = threading.Lock()
        self._admitted = admitted
        self._places = places
        self._waiting: OrderedDict[Waiter, None] = OrderedDict()
        self._coming_back: deque[Waiter | None] = deque()
        self._to_wake: deque[Waiter] = deque()

    @property
    def queued(self) -> int:
        """How many wait now."""
        return len(self._waiting)

    def take(self) -> bool:
        """Take a permit if one is free; nobody waits then."""
        with self.lock:
            is_free = self.in_use < self.limit
            if is_free:
                self.in_use += 1
                self._admitted.value += 1
        if self._coming_back:
            self._settle()
        return is_free

    def join(self, waiter: Waiter) -> bool:
        """Stand in the queue, or be admitted at once. False if there is no place."""
        with self.lock:
            self._take_back()
            has_place = self.in_use < self.limit or len(self._waiting) < self._places
            if has_place:
                self._waiting[waiter] = None
                self._serve()
        self._settle()
        return has_place

    def leave(self, waiter: Waiter) -> None:
        """Give up waiting. Who was admitted meanwhile gives that permit back."""
        self._coming_back.append(waiter)
        self._settle()

    def give_back(self) -> None:
        """Give a permit back."""
        if self.lock.acquire(blocking=False):
            if self._waiting or self._coming_back:
                self._coming_back.append(None)
            else:
                self.in_use -= 1
            self.lock.release()
        else:
            self._coming_back.append(None)
        if self._coming_back:
            self._settle()

    def resize(self, limit: int, places: int) -> None:
        """Have other numbers from now on. Whoever has a permit or a place keeps it."""
        with self.lock:
            self.limit = limit
            self._places = places
            self._serve()
        self._settle()

    def abandon(self) -> None:
        """Let every task through that waits. Runs in a forked child, where nobody gives these permits back any more."""
        for waiter in self._waiting:
            # The threads are not here, and their events may be locked.
            if isinstance(waiter, TaskWaiter):
                waiter.admitted = True
                waiter.wake()

    def _settle(self) -> None:
        while True:
            # Who holds the lock now comes by here afterwards, and so finds what was put down meanwhile.
            while self._coming_back and self.lock.acquire(blocking=False):
                try:
                    self._take_back()
                finally:
                    self.lock.release()
            try:
                waiter = self._to_wake.popleft()
            except IndexError:
                return
            if not waiter.wake():
                self._coming_back.append(waiter)

    def _take_back(self) -> None:
        while self._coming_back:
            waiter = self._coming_back.popleft()
            if waiter is None:
                self.in_use -= 1
            elif waiter.admitted:
                # It may leave once more: when its loop was closed, and again when its coroutine is collected.
                waiter.admitted = False
                self.in_use -= 1
            else:
                self._waiting.pop(waiter, None)
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self.in_use < self.limit:
            waiter, _ = self._waiting.popitem(last=False)
            self.in_use += 1
            waiter.admitted = True
            self._to_wake.append(waiter)


@dataclass(frozen=True, slots=True)
class Stay:
    """A stay in the queue that is over.

    Attributes:
        admitted: whether there is a permit now, which must be given back.
        waited: seconds in the queue.
        since: when it began, in nanoseconds since the Unix epoch.
    """

    admitted: bool
    waited: float
    since: int


def stand_in_queue(permits: Permits, clock: Clock, max_wait: float | None) -> Stay | None:
    """Wait for a permit in this thread, for so many seconds and no longer than the deadline; None if there is no place."""
    waiter = ThreadWaiter()
    if not permits.join(waiter):
        return None
    since, start, seconds = time.time_ns(), clock.monotonic(), _bound(max_wait)
    end = math.inf if seconds is None else start + seconds
    try:
        while not waiter.admitted and (left := end - clock.monotonic()) > 0:
            clock.wait(waiter.event, None if left == math.inf else left)
    except BaseException:
        permits.leave(waiter)
        raise
    return _end(permits, waiter, clock.monotonic() - start, since)


async def stand_in_queue_async(permits: Permits, clock: Clock, max_wait: float | None) -> Stay | None:
    """Wait for a permit in this task, as `stand_in_queue` does in a thread."""
    waiter = TaskWaiter()
    if not permits.join(waiter):
        return None
    since, start, seconds = time.time_ns(), clock.monotonic(), _bound(max_wait)
    try:
        if seconds is None:
            await waiter.turn
        else:
            await first_of(waiter.turn, clock.sleep_async(seconds))
    except BaseException:
        permits.leave(waiter)
        raise
    return _end(permits, waiter, clock.monotonic() - start, since)


def _bound(max_wait: float | None) -> float | None:
    bounds = [seconds for seconds in (max_wait, remaining()) if seconds is not None]
    return min(bounds) if bounds else None


def _end(permits: Permits, waiter: ThreadWaiter | TaskWaiter, waited: float, since: int) -> Stay:
    is_admitted = waiter.admitted
    if not is_admitted:
        permits.leave(waiter)
    return Stay(is_admitted, waited, since)
