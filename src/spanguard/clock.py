"""The injected clock: every duration and every wait in spanguard goes through one of these.

`spanguard.testing.FakeClock` is the same shape and moves only when a test says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from asyncio import sleep as _sleep_async
from collections.abc import Coroutine
from time import monotonic as _monotonic
from time import sleep as _sleep
from time import time as _time
from typing import Any, Protocol


class Clock(Protocol):
    """Time as the guards see it; all values in seconds."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never run backwards."""
        ...

    def time(self) -> float:
        """Seconds since the Unix epoch, for what people and other processes read."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block this thread for so many seconds."""
        ...

    def wait(self, event: threading.Event, seconds: float | None, /) -> object:
        """Block this thread until the event is set, or for so many seconds; for as long as it takes without any.

        Afterwards look at what the event stands for: it may be set in both cases.
        """
        ...

    async def sleep_async(self, seconds: float) -> None:
        """Suspend this task for so many seconds; cancellable."""
        ...


class SystemClock:
    """The clock of the machine."""

    __slots__ = ()

    # Plain references: a Python frame around each would be the dearest part of a guard's hot path.
    monotonic = staticmethod(_monotonic)
    time = staticmethod(_time)
    sleep = staticmethod(_sleep)
    wait = staticmethod(threading.Event.wait)
    sleep_async = staticmethod(_sleep_async)

    def __repr__(self) -> str:
        return "SystemClock()"


SYSTEM_CLOCK: Clock = SystemClock()


async def first_of(nudge: asyncio.Future[None], sleep: Coroutine[Any, Any, None]) -> None:
    """Suspend this task until the nudge comes or the sleep is over; the sleep is given up then."""
    sleeper = asyncio.ensure_future(sleep)
    try:
        await asyncio.wait((sleeper, nudge), return_when=asyncio.FIRST_COMPLETED)
        if sleeper.done():
            sleeper.result()
    finally:
        # A coroutine that is collected after its loop was closed comes by here too.
        with contextlib.suppress(RuntimeError):
            sleeper.cancel()
