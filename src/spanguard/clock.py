"""The injected clock: every duration and every wait in spanguard goes through one of these.

`spanguard.testing.FakeClock` is the same shape and moves only when a test says so.
"""

from __future__ import annotations

from asyncio import sleep as _sleep_async
from time import monotonic as _monotonic
from time import sleep as _sleep
from time import time as _time
from typing import Protocol


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
    sleep_async = staticmethod(_sleep_async)

    def __repr__(self) -> str:
        return "SystemClock()"


SYSTEM_CLOCK: Clock = SystemClock()
