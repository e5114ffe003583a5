"""What comes back to a bulkhead in the middle of its own lock, which no public call can time."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from spanguard.permits import Permits, ThreadWaiter
from spanguard.telemetry import Cell


class LockWithGarbage:
    """A lock in whose middle a garbage collection closes somebody's call."""

    def __init__(self, collect: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self._garbage = [collect]
        self.release = self._lock.release

    def acquire(self, blocking: bool = True) -> bool:
        if not self._lock.acquire(blocking=blocking):
            return False
        if self._garbage:
            self._garbage.pop()()
        return True

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


@pytest.mark.parametrize("form", ["take", "join", "give_back", "resize"])
def test_a_permit_that_comes_back_inside_the_lock_goes_to_the_first_who_waits(form: str) -> None:
    permits, first = Permits(2, 5, Cell()), ThreadWaiter()
    assert permits.take()
    assert permits.take()
    permits.join(first)
    permits.lock = LockWithGarbage(permits.give_back)  # type: ignore[assignment]
    ways: dict[str, Callable[[], object]] = {
        "take": permits.take,
        "join": lambda: permits.join(ThreadWaiter()),
        "give_back": permits.give_back,
        "resize": lambda: permits.resize(2, 5),
    }
    ways[form]()
    assert first.admitted
    assert first.event.is_set()


def test_a_permit_that_comes_back_just_before_one_would_queue_is_taken() -> None:
    assert Permits(1, 0, Cell()).join(ThreadWaiter())
