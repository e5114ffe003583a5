"""The bulkhead's queue is bounded and fair, and no permit is ever lost."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest

from spanguard.error_handling import Bulkhead, BulkheadFullError
from spanguard.errors import ConfigurationError
from unit.bulkhead.callers import DEADLINE, all_taken, is_idle, running, until, wait_until


async def echo(number: int) -> int:
    return number


async def test_threads_and_tasks_are_served_in_the_order_in_which_they_came(make: Callable[..., Bulkhead]) -> None:
    bulkhead = make(queue=20)
    order: list[int] = []
    waiting: list[asyncio.Future[None]] = []
    async with bulkhead.calling():
        for number in range(10):
            if number % 2:
                work = bulkhead.call_async(asyncio.to_thread, order.append, number)
            else:
                work = asyncio.to_thread(bulkhead.call, order.append, number)
            waiting.append(asyncio.ensure_future(work))
            await until(lambda: bulkhead.stats().queued == len(waiting))
    await asyncio.gather(*waiting)
    assert order == list(range(10))
    assert bulkhead.stats().admitted == 11


async def test_who_comes_later_does_not_overtake_one_who_is_just_being_woken(make: Callable[..., Bulkhead]) -> None:
    bulkhead = make(queue=2)
    order: list[str] = []

    async def note(name: str) -> None:
        order.append(name)

    async with bulkhead.calling():
        first = asyncio.ensure_future(bulkhead.call_async(note, "first"))
        await until(lambda: bulkhead.stats().queued == 1)
    await bulkhead.call_async(note, "second")
    await first
    assert order == ["first", "second"]


async def test_a_cancelled_wait_leaves_its_place(make: Callable[..., Bulkhead]) -> None:
    bulkhead = make(queue=1)
    async with bulkhead.calling():
        waiting = asyncio.ensure_future(bulkhead.call_async(asyncio.sleep, 0))
        await until(lambda: bulkhead.stats().queued == 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert bulkhead.stats().queued == 0
    assert (bulkhead.stats().cancelled, is_idle(bulkhead)) == (1, True)


async def test_a_wait_that_is_cancelled_when_it_was_just_admitted_hands_its_permit_on(
    make: Callable[..., Bulkhead],
) -> None:
    bulkhead = make(queue=2)
    async with bulkhead.calling():
        first, second = (asyncio.ensure_future(bulkhead.call_async(echo, n)) for n in (1, 2))
        await until(lambda: bulkhead.stats().queued == 2)
    # The permit is the first one's by now, though its task has not run yet.
    assert (bulkhead.stats().running, bulkhead.stats().queued) == (1, 1)
    first.cancel()
    assert await second == 2
    assert is_idle(bulkhead)


def test_a_waiter_whose_loop_was_closed_holds_up_nobody(make: Callable[..., Bulkhead]) -> None:
    bulkhead = make(queue=2)
    loop = asyncio.new_event_loop()
    lost = bulkhead.call_async(asyncio.sleep, 0)
    with all_taken(bulkhead) as release:
        task = loop.create_task(lost)
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert bulkhead.stats().queued == 1
        loop.close()
        release()
    assert bulkhead.call(str, 1) == "1"
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is lost on purpose
    del task, lost
    gc.collect()
    assert is_idle(bulkhead)


def test_a_crowd_of_waiters_whose_loop_was_closed_holds_up_nobody(make: Callable[..., Bulkhead]) -> None:
    # More than Python lets functions call each other.
    bulkhead = make(queue=2000)
    loop = asyncio.new_event_loop()
    with all_taken(bulkhead) as release:
        lost = [loop.create_task(bulkhead.call_async(asyncio.sleep, 0)) for _ in range(2000)]
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert bulkhead.stats().queued == 2000
        loop.close()
        release()
    assert bulkhead.call(str, 1) == "1"
    assert is_idle(bulkhead)
    for task in lost:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # they are lost on purpose
    del lost, task
    gc.collect()


@pytest.mark.parametrize("stage", ["waiting", "running"])
def test_a_call_that_is_collected_while_this_thread_holds_the_lock_gives_its_permit_back(
    make: Callable[..., Bulkhead], stage: str
) -> None:
    bulkhead = make(queue=1)
    loop = asyncio.new_event_loop()

    async def abandon() -> None:
        work = bulkhead.call_async(loop.create_future)
        if stage == "running":
            work.send(None)
            stuck.append(work)
        else:
            async with bulkhead.calling():
                work.send(None)
                stuck.append(work)

    stuck: list[Any] = []
    loop.run_until_complete(abandon())
    assert bulkhead.stats().running == 1
    with bulkhead._permits.lock:
        stuck.clear()
        gc.collect()
    loop.close()
    assert bulkhead.call(str, 1) == "1"
    assert is_idle(bulkhead)


def test_a_greater_limit_lets_those_in_who_wait(make: Callable[..., Bulkhead]) -> None:
    bulkhead, done = make(queue=1), threading.Event()
    with all_taken(bulkhead), running(lambda: bulkhead.call(done.set)):
        wait_until(lambda: bulkhead.stats().queued == 1)
        bulkhead.resize(limit=2)
        assert done.wait(DEADLINE)
    assert (bulkhead.limit, bulkhead.queue) == (2, 1)


def test_a_smaller_limit_holds_as_soon_as_permits_come_back(make: Callable[..., Bulkhead]) -> None:
    bulkhead = make(2)
    with all_taken(bulkhead):
        bulkhead.resize(limit=1)
        assert bulkhead.stats().running == 2
    with bulkhead.calling(), pytest.raises(BulkheadFullError):
        bulkhead.call(int)


def test_64_threads_are_never_more_at_once_than_allowed(make: Callable[..., Bulkhead]) -> None:
    bulkhead, lock, peaks = make(3, queue=64), threading.Lock(), [0, 0]

    def work() -> None:
        with lock:
            peaks[0] += 1
            peaks[1] = max(peaks)
        with lock:
            peaks[0] -= 1

    def work_often() -> None:
        for _ in range(100):
            bulkhead.call(work)

    with running(*[work_often] * 64):
        pass
    assert peaks[1] <= 3
    assert (bulkhead.stats().admitted, is_idle(bulkhead)) == (6400, True)


def test_threads_and_tasks_that_come_go_and_give_up_leave_all_permits_behind() -> None:
    bulkhead = Bulkhead(3, 50, 0.002, name="stress")

    async def impatient(number: int) -> None:
        task = asyncio.ensure_future(bulkhead.call_async(asyncio.sleep, 0.0005))
        for _ in range(number % 7):
            await asyncio.sleep(0)
        if number % 3:
            task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() or isinstance(task.exception(), BulkheadFullError | None)

    async def many() -> None:
        await asyncio.gather(*(impatient(number) for number in range(500)))

    def in_a_loop() -> None:
        asyncio.run(many())

    def in_a_thread() -> None:
        for _ in range(200):
            with contextlib.suppress(BulkheadFullError), bulkhead.calling():
                pass

    with running(*[in_a_loop] * 2, *[in_a_thread] * 4):
        pass
    assert is_idle(bulkhead)
    assert bulkhead.stats().cancelled > 0


def test_a_longer_wait_is_for_those_who_come_after_it(make: Callable[..., Bulkhead]) -> None:
    bulkhead = make(1, queue=2, max_wait=1)
    bulkhead.reconfigure(1, 2, 5)
    assert (bulkhead.limit, bulkhead.queue, bulkhead.max_wait) == (1, 2, 5)
    with pytest.raises(ConfigurationError):
        bulkhead.reconfigure(1, 0, 5)
    assert bulkhead.queue == 2
