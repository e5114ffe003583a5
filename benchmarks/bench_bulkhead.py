"""The bulkhead against a bare semaphore, for threads and for tasks."""

from __future__ import annotations

import asyncio
import threading

from common import Figure, Timer, timing, timing_async

from spanguard.error_handling import Bulkhead

PERMITS = 10


def nothing() -> None:
    """What is guarded."""


async def nothing_async() -> None:
    """What is guarded."""


def ours() -> Timer:
    call = Bulkhead(PERMITS, queue=100, name="bench").call
    return timing(lambda: call(nothing))


def semaphore() -> Timer:
    permits = threading.Semaphore(PERMITS)

    def call() -> None:
        with permits:
            nothing()

    return timing(call)


def ours_async() -> Timer:
    call = Bulkhead(PERMITS, queue=100, name="bench").call_async
    return timing_async(lambda: call(nothing_async))


def semaphore_async() -> Timer:
    permits = asyncio.Semaphore(PERMITS)

    async def call() -> None:
        async with permits:
            await nothing_async()

    return timing_async(call)


FIGURES = [
    Figure("bulkhead", "call through a bulkhead, nothing recording", 1.5, ours, semaphore, "threading.Semaphore"),
    Figure(
        "bulkhead-async",
        "awaited call through a bulkhead, nothing recording",
        1.5,
        ours_async,
        semaphore_async,
        "asyncio.Semaphore",
    ),
]
