"""What callers of a limiter do, and the wait until they have done it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from spanguard.rate_limiter import RateLimiter
from spanguard.testing import FakeClock


def drain(limiter: RateLimiter, key: str = "") -> None:
    while limiter.acquire(key=key):
        pass


def wait_in_thread(limiter: RateLimiter, done: list[str], name: str, **options: Any) -> threading.Thread:
    def run() -> None:
        limiter.acquire(wait=True, **options)
        done.append(name)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


async def until_waiting(limiter: RateLimiter, count: int) -> None:
    """Wait, in real time, until so many stand in line and sleep."""
    clock = limiter._desk._clock
    assert isinstance(clock, FakeClock)
    async with asyncio.timeout(10):
        while not limiter.stats().waiting == clock.sleeping == count:  # noqa: ASYNC110 - polls a condition with a deadline
            await asyncio.sleep(0)


async def until_done(tasks: list[asyncio.Task[Any]], count: int) -> None:
    async with asyncio.timeout(10):
        while sum(task.done() for task in tasks) < count:  # noqa: ASYNC110 - polls a condition with a deadline
            await asyncio.sleep(0)
