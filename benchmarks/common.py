"""What a benchmark file declares: a goal, and two things to time side by side.

A file `bench_*.py` holds a list `FIGURES` of `Figure`. Each times `ours` and `peer` in fresh worker processes of pyperf, in
turns, so that both see the same machine; what counts is the ratio. Both are timers: given a number of loops they return the
seconds that these took, so threads, event loops and processes fit as well as a plain call.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Timer = Callable[[int], float]
"""Runs a number of loops and returns the seconds they took: pyperf's time function."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    Attributes:
        name: a short word for the command line.
        what: what is measured.
        goal: the greatest ratio of ours to the peer's (or the least, if `at_least`).
        ours: makes the timer of ours; called in the worker process, so that set-up is not shared.
        peer: makes the timer of the peer.
        peer_is: what the peer is.
        at_least: whether the goal is a lower bound: of a throughput, the peer's time over ours.
        difference: whether the goal is a greatest difference in seconds instead of a ratio.
        counts: what is counted, where the timers return a number of something instead of seconds.
    """

    name: str
    what: str
    goal: float
    ours: Callable[[], Timer]
    peer: Callable[[], Timer]
    peer_is: str
    at_least: bool = False
    difference: bool = False
    counts: str = ""


def timing(call: Callable[[], object]) -> Timer:
    """Return the timer of a plain call: processor time, which other programs on the machine hardly change."""

    def run(loops: int) -> float:
        numbers = range(loops)
        start = time.process_time()
        for _ in numbers:
            call()
        return time.process_time() - start

    return run


def timing_async(call: Callable[[], Awaitable[object]]) -> Timer:
    """Return the timer of an awaited call, in processor time; the event loop is there before the clock starts."""

    async def work(loops: int) -> float:
        numbers = range(loops)
        start = time.process_time()
        for _ in numbers:
            await call()
        return time.process_time() - start

    def run(loops: int) -> float:
        return asyncio.run(work(loops))

    return run
