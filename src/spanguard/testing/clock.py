"""A clock that moves only when a test says so."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from collections.abc import Callable, Coroutine
from typing import Any

_Sleeper = tuple[float, int, Callable[[], None]]


class FakeClock:
    """A `spanguard.clock.Clock` for tests, safe from threads and tasks.

    Args:
        start: the first value of `monotonic()`, in seconds.
        epoch: what `time()` says at that moment.
        auto_advance: let each sleep move the clock to its own end at once, instead of waiting for `advance`.
    """

    def __init__(self, start: float = 1000.0, *, epoch: float = 1_700_000_000.0, auto_advance: bool = False) -> None:
        self._now = start
        self._epoch_offset = epoch - start
        self._auto_advance = auto_advance
        self._changed = threading.Condition()
        self._sleepers: list[_Sleeper] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        """Return the present, in seconds."""
        return self._now

    def time(self) -> float:
        """Return the present as seconds since the Unix epoch."""
        return self._now + self._epoch_offset

    @property
    def sleeping(self) -> int:
        """How many threads and tasks sleep on this clock now."""
        with self._changed:
            return len(self._sleepers)

    def advance(self, seconds: float) -> None:
        """Move the clock forward and wake, in order, all whose time has come."""
        if seconds < 0:
            raise ValueError(f"a monotonic clock cannot go back: advance({seconds})")
        self._move_to(self._now + seconds)

    def jump_wall_clock(self, seconds: float) -> None:
        """Move only what `time()` says, as an administrator or NTP does; may go back."""
        self._epoch_offset += seconds

    def wait_for_sleepers(self, count: int = 1, timeout: float = 10.0) -> None:
        """Block, in real time, until so many threads and tasks sleep on this clock.

        Raises:
            TimeoutError: they did not come within `timeout` real seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._sleepers) >= count, timeout):
                raise TimeoutError(f"{len(self._sleepers)} of {count} sleepers came within {timeout} s")

    def sleep(self, seconds: float) -> None:
        """Block this thread until the clock was advanced so far."""
        if self._auto_advance:
            self._move_to(self._now + max(0.0, seconds))
            return
        woken = threading.Event()
        self._enqueue(self._now + seconds, woken.set)
        woken.wait()

    def wait(self, event: threading.Event, seconds: float | None, /) -> None:
        """Block this thread until the event is set or the clock was advanced so far; then the event is set too."""
        if seconds is None:
            event.wait()
        elif self._auto_advance and not event.is_set():
            self._move_to(self._now + max(0.0, seconds))
        else:
            entry = self._enqueue(self._now + seconds, event.set)
            try:
                event.wait()
            finally:
                self._dequeue(entry)

    def sleep_async(self, seconds: float) -> Coroutine[Any, Any, None]:
        """Suspend this task until the clock was advanced so far, from the moment of this call on; cancellable."""
        return self._sleep_until(self._now + max(0.0, seconds))

    async def _sleep_until(self, moment: float) -> None:
        if self._auto_advance:
            self._move_to(moment)
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()

        def finish() -> None:
            if not woken.done():
                woken.set_result(None)

        def wake() -> None:
            loop.call_soon_threadsafe(finish)

        entry = self._enqueue(moment, wake)
        try:
            await woken
        finally:
            self._dequeue(entry)

    def _dequeue(self, entry: _Sleeper) -> None:
        with self._changed:
            if entry in self._sleepers:
                self._sleepers.remove(entry)
                heapq.heapify(self._sleepers)

    def _enqueue(self, moment: float, wake: Callable[[], None]) -> _Sleeper:
        with self._changed:
            entry = (moment, next(self._order), wake)
            if entry[0] <= self._now:
                wake()
                return entry
            heapq.heappush(self._sleepers, entry)
            self._changed.notify_all()
            return entry

    def _move_to(self, moment: float) -> None:
        with self._changed:
            self._now = max(self._now, moment)
            while self._sleepers and self._sleepers[0][0] <= self._now:
                heapq.heappop(self._sleepers)[2]()
            self._changed.notify_all()
