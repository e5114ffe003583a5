"""Threads that keep something busy while a test looks at it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def at_work(work: Callable[[int], object], threads: int) -> Iterator[None]:
    """Have threads do some work again and again, each with a number of its own, until the block ends."""
    done = threading.Event()

    def go_on(number: int) -> None:
        while not done.is_set():
            work(number)

    workers = [threading.Thread(target=go_on, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        done.set()
        for worker in workers:
            worker.join()
