"""A limiter in a forked child."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from spanguard.rate_limiter import TokenBucketLimiter
from spanguard.testing import FakeClock
from unit.rate_limiter.callers import drain, wait_in_thread


def in_child(check: Any) -> None:
    pid = os.fork()
    if not pid:
        try:
            os._exit(0 if check() else 1)
        except BaseException:  # noqa: BLE001 - the child must not run on in the test suite
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_keeps_the_buckets_and_starts_its_counts_at_zero(limiter: TokenBucketLimiter) -> None:
    limiter.acquire(2)

    def check() -> bool:
        zero = limiter.stats().acquired == 0
        return zero and bool(limiter.acquire()) and not limiter.acquire() and limiter.stats().acquired == 1

    in_child(check)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_is_not_held_up_by_its_parents_threads(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    done: list[str] = []
    thread = wait_in_thread(limiter, done, "parent")
    clock.wait_for_sleepers(1)

    def check() -> bool:
        if limiter.stats().waiting:
            return False
        clock._changed = threading.Condition()
        clock._sleepers.clear()
        clock.advance(0.5)
        return limiter.acquire().allowed

    with limiter._lock:
        in_child(check)
    clock.advance(0.5)
    thread.join(10)
    assert done == ["parent"]
