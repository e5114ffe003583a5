"""A bulkhead in a forked child."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from spanguard.error_handling import Bulkhead
from unit.bulkhead.callers import all_taken, is_idle, until


def in_child(check: Callable[[], bool]) -> bool:
    """Fork, run `check` in the child, and tell whether it returned true there."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, b"1" if check() else b"0")
        finally:
            os._exit(0)
    os.close(write)
    answer = os.read(read, 1)
    os.close(read)
    os.waitpid(pid, 0)
    return answer == b"1"


def test_in_a_child_all_permits_are_free_though_the_lock_was_held(make: Callable[..., Bulkhead]) -> None:
    bulkhead = make()
    with all_taken(bulkhead), bulkhead._permits.lock:
        child_is_well = in_child(lambda: bulkhead.call(str, 1) == "1" and is_idle(bulkhead))
    assert child_is_well


def test_a_call_that_forks_takes_nothing_from_the_child(make: Callable[..., Bulkhead]) -> None:
    bulkhead = make()

    def leaves_the_block() -> bool:
        block.__exit__(None, None, None)
        return is_idle(bulkhead)

    with bulkhead.calling() as block:
        assert in_child(leaves_the_block)
        assert bulkhead.stats().running == 1


async def test_a_task_that_waits_at_the_fork_goes_through_in_the_child(make: Callable[..., Bulkhead]) -> None:
    bulkhead = make(queue=1)
    async with bulkhead.calling():
        waiting = asyncio.ensure_future(bulkhead.call_async(asyncio.sleep, 0))
        await until(lambda: bulkhead.stats().queued == 1)
        permits = bulkhead._permits
        (waiter,) = permits._waiting
        assert in_child(lambda: waiter.admitted)
        assert not waiter.admitted
    await waiting
