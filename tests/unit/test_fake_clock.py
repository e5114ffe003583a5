"""The fake clock moves only when told, and wakes in order."""

from __future__ import annotations

import asyncio
import threading

import pytest

from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.testing import FakeClock


def test_time_stands_still_until_it_is_advanced(clock: FakeClock) -> None:
    before = (clock.monotonic(), clock.time())
    clock.advance(2.5)
    assert (clock.monotonic() - before[0], clock.time() - before[1]) == (2.5, 2.5)


def test_it_cannot_go_back(clock: FakeClock) -> None:
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-1)


def test_the_wall_clock_can_jump_while_monotonic_time_does_not(clock: FakeClock) -> None:
    before = (clock.monotonic(), clock.time())
    clock.jump_wall_clock(-3600)
    assert (clock.monotonic(), clock.time()) == (before[0], before[1] - 3600)


def test_threads_wake_in_the_order_of_their_time(clock: FakeClock) -> None:
    woken: list[float] = []

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        woken.append(seconds)

    threads = {seconds: threading.Thread(target=sleep, args=(seconds,)) for seconds in (3.0, 1.0, 2.0)}
    for thread in threads.values():
        thread.start()
    clock.wait_for_sleepers(3)
    for seconds in (1.0, 2.0, 3.0):
        clock.advance(1)
        threads[seconds].join(10)
    assert woken == [1.0, 2.0, 3.0]


async def test_a_task_sleeps_until_the_clock_is_advanced(clock: FakeClock) -> None:
    task = asyncio.create_task(clock.sleep_async(5))
    await asyncio.sleep(0)
    assert (clock.sleeping, task.done()) == (1, False)
    clock.advance(5)
    await asyncio.wait_for(task, 10)


async def test_a_cancelled_sleeper_leaves_no_trace(clock: FakeClock) -> None:
    task = asyncio.create_task(clock.sleep_async(5))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert clock.sleeping == 0


async def test_with_auto_advance_a_sleep_moves_the_clock_itself() -> None:
    clock = FakeClock(auto_advance=True)
    before = clock.monotonic()
    clock.sleep(2)
    await clock.sleep_async(3)
    assert clock.monotonic() - before == 5


@pytest.mark.parametrize("any_clock", [SYSTEM_CLOCK, FakeClock(auto_advance=True)])
async def test_both_clocks_have_one_shape(any_clock: Clock) -> None:
    before = any_clock.monotonic()
    any_clock.sleep(0)
    await any_clock.sleep_async(0)
    assert any_clock.monotonic() >= before
    assert any_clock.time() > 1_600_000_000


def test_a_wait_ends_when_its_event_is_set(clock: FakeClock) -> None:
    event = threading.Event()
    waiter = threading.Thread(target=clock.wait, args=(event, 5))
    waiter.start()
    clock.wait_for_sleepers()
    event.set()
    waiter.join(10)
    assert (waiter.is_alive(), clock.sleeping) == (False, 0)


def test_a_wait_ends_when_the_clock_was_advanced_so_far(clock: FakeClock) -> None:
    waiter = threading.Thread(target=clock.wait, args=(threading.Event(), 5))
    waiter.start()
    clock.wait_for_sleepers()
    clock.advance(5)
    waiter.join(10)
    assert not waiter.is_alive()


def test_a_wait_moves_a_clock_that_advances_by_itself() -> None:
    clock = FakeClock(auto_advance=True)
    before = clock.monotonic()
    clock.wait(threading.Event(), 5)
    assert clock.monotonic() == before + 5


async def test_a_sleep_lasts_from_its_call_on_however_late_it_is_awaited() -> None:
    clock = FakeClock()
    sleep = clock.sleep_async(5.0)
    clock.advance(5.0)
    async with asyncio.timeout(10):
        await sleep
