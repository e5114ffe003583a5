"""Callers of a bulkhead in threads, and the wait until they have done what a test wants."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from spanguard.error_handling import Bulkhead

DEADLINE = 30.0


@contextmanager
def running(*works: Callable[[], object]) -> Iterator[list[threading.Thread]]:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        for thread in threads:
            thread.join(DEADLINE)
        assert not any(thread.is_alive() for thread in threads)


def wait_until(condition: Callable[[], bool]) -> None:
    """Poll in real time, for threads that are about to do something."""
    changed, polls = threading.Event(), int(DEADLINE / 0.001)
    assert any(condition() or changed.wait(0.001) for _ in range(polls))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - threads bring it about too
            await asyncio.sleep(0)


@contextmanager
def all_taken(bulkhead: Bulkhead) -> Iterator[Callable[[], None]]:
    """Every permit is out, held by another thread until the block ends or the yielded function is called."""
    held, release = threading.Semaphore(0), threading.Event()

    def hold() -> None:
        held.release()
        release.wait(DEADLINE)

    works = [lambda: bulkhead.call(hold)] * bulkhead.limit
    with running(*works):
        for _ in works:
            assert held.acquire(timeout=DEADLINE)
        try:
            yield release.set
        finally:
            release.set()


def is_idle(bulkhead: Bulkhead) -> bool:
    stats = bulkhead.stats()
    return (stats.running, stats.queued) == (0, 0)
