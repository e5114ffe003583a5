"""Producers and consumers that wait: threads and tasks, fair, bounded in time, and gone without a trace when cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import queue
import threading
from functools import partial
from typing import Any

import pytest

from spanguard.errors import BlockingWaitError
from spanguard.rate_limiter import BackpressureError, BackpressureManager, QueueEmptyError
from spanguard.telemetry.deadline import deadline
from spanguard.testing import FakeClock
from unit.backpressure.conftest import Make
from unit.bulkhead.callers import running, until, wait_until


def test_a_producer_waits_until_there_is_a_place(make: Make) -> None:
    orders = make(1)
    orders.put("a")
    with running(lambda: orders.put("b")):
        wait_until(lambda: orders.stats().producers == 1)
        assert orders.get() == "a"
    assert orders.get() == "b"


def test_a_consumer_waits_until_there_is_an_item(make: Make) -> None:
    orders, got = make(), []
    with running(lambda: got.append(orders.get())):
        wait_until(lambda: orders.stats().consumers == 1)
        orders.put("a")
    assert got == ["a"]


async def test_threads_and_tasks_get_places_in_the_order_in_which_they_came(make: Make) -> None:
    orders = make(1)
    orders.put(-1, timeout=0)
    puts: list[asyncio.Future[bool]] = []
    for number in range(8):
        put = orders.put_async(number) if number % 2 else asyncio.to_thread(orders.put, number)
        puts.append(asyncio.ensure_future(put))
        await until(lambda: orders.stats().producers == len(puts))
    assert [await orders.get_async() for _ in range(9)] == list(range(-1, 8))
    assert await asyncio.gather(*puts) == [True] * 8


async def test_who_comes_later_does_not_take_the_place_of_one_who_is_just_being_woken(make: Make) -> None:
    orders = make(1)
    orders.put("a", timeout=0)
    first = asyncio.ensure_future(orders.put_async("b"))
    await until(lambda: orders.stats().producers == 1)
    orders.get(timeout=0)
    with pytest.raises(BackpressureError):
        orders.put("c", timeout=0)
    assert await first
    assert orders.get(timeout=0) == "b"


def test_a_producer_waits_no_longer_than_its_time(make: Make, clock: FakeClock) -> None:
    orders, caught = make(1), []
    orders.put("a")

    def produce() -> None:
        with pytest.raises(BackpressureError) as refusal:
            orders.put("b", timeout=2)
        caught.append(refusal.value)

    with running(produce):
        clock.wait_for_sleepers()
        clock.advance(2)
    assert (caught[0].outcome, caught[0].waited) == ("timed_out", 2.0)
    assert orders.drain(0) == ["a"]


async def test_a_task_waits_no_longer_than_its_time(make: Make, clock: FakeClock) -> None:
    orders = make(1)
    waiting = asyncio.ensure_future(orders.get_async(timeout=2))
    await until(lambda: clock.sleeping == 1)
    clock.advance(2)
    with pytest.raises(QueueEmptyError):
        await waiting
    assert orders.stats().consumers == 0


async def test_nobody_waits_longer_than_the_deadline_around_it(make: Make, clock: FakeClock) -> None:
    orders = make(1)
    await orders.put_async("a")
    with deadline(1, clock=clock):
        waiting = asyncio.ensure_future(orders.put_async("b", timeout=60))
    await until(lambda: clock.sleeping == 1)
    clock.advance(1)
    with pytest.raises(BackpressureError) as caught:
        await waiting
    assert caught.value.waited == 1.0


@pytest.mark.parametrize("method", ["put", "get", "drain"])
async def test_a_plain_call_that_might_wait_is_refused_in_the_thread_of_an_event_loop(make: Make, method: str) -> None:
    orders = make()
    with pytest.raises(BlockingWaitError, match=f"{method}_async"):
        orders.get() if method == "get" else getattr(orders, method)(1)


async def test_a_plain_call_that_cannot_wait_may_be_made_there(make: Make) -> None:
    orders = make(1, "drop_oldest")
    assert orders.put("a")
    assert orders.get(timeout=0) == "a"
    assert orders.drain(0) == []


async def test_a_producer_that_is_cancelled_has_put_nothing(make: Make) -> None:
    orders = make(1)
    await orders.put_async("a")
    waiting = asyncio.ensure_future(orders.put_async("b"))
    await until(lambda: orders.stats().producers == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert orders.drain(0) == ["a"]
    assert (orders.stats().cancelled, orders.stats().producers) == (1, 0)


async def test_a_producer_that_is_cancelled_when_its_place_is_free_hands_the_place_on(make: Make) -> None:
    orders = make(1)
    await orders.put_async("a")
    first, second = (asyncio.ensure_future(orders.put_async(item)) for item in "bc")
    await until(lambda: orders.stats().producers == 2)
    orders.get(timeout=0)
    first.cancel()
    assert await second
    assert orders.drain(0) == ["c"]


async def test_a_consumer_that_is_cancelled_when_its_item_is_there_leaves_it_to_the_next(make: Make) -> None:
    orders = make()
    first, second = (asyncio.ensure_future(orders.get_async()) for _ in range(2))
    await until(lambda: orders.stats().consumers == 2)
    orders.put("a", timeout=0)
    first.cancel()
    assert await second == "a"
    assert first.cancelled()


async def test_a_consumer_that_was_woken_in_vain_keeps_its_place_in_the_line(make: Make) -> None:
    orders = make()
    first, second = (asyncio.ensure_future(orders.get_async()) for _ in range(2))
    await until(lambda: orders.stats().consumers == 2)
    orders.put("a", timeout=0)
    assert orders.get(timeout=0) == "a"
    await until(lambda: orders.stats().consumers == 2)
    orders.put("b", timeout=0)
    assert await first == "b"
    orders.put("c", timeout=0)
    assert await second == "c"


def test_waiters_whose_loop_was_closed_hold_up_nobody(make: Make) -> None:
    orders = make(1)
    orders.put("a")
    loop = asyncio.new_event_loop()
    lost = loop.create_task(orders.put_async("lost"))
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert orders.stats().producers == 1
    loop.close()
    assert orders.get() == "a"
    assert orders.put("b", timeout=0)
    lost._log_destroy_pending = False  # type: ignore[attr-defined]  # it is lost on purpose
    del lost
    gc.collect()
    assert (orders.drain(0), orders.stats().producers, orders.stats().cancelled) == (["b"], 0, 1)


def test_a_crowd_of_consumers_whose_loop_was_closed_holds_up_nobody(make: Make) -> None:
    # More than Python lets functions call each other.
    orders = make()
    loop = asyncio.new_event_loop()
    lost = [loop.create_task(orders.get_async()) for _ in range(2000)]
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert orders.stats().consumers == 2000
    loop.close()
    orders.put("a")
    assert (orders.get(timeout=0), orders.stats().consumers) == ("a", 0)
    for task in lost:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # they are lost on purpose
    del lost, task
    gc.collect()


@pytest.mark.parametrize("is_called", [False, True])
def test_a_producer_that_is_collected_while_this_thread_holds_the_lock_leaves_its_place(
    make: Make, is_called: bool
) -> None:
    orders = make(1)
    orders.put("a")
    loop = asyncio.new_event_loop()
    stuck: list[Any] = [orders.put_async("lost")]

    async def begin() -> None:
        stuck[0].send(None)
        if is_called:
            orders.get(timeout=0)

    loop.run_until_complete(begin())
    with orders._core._lock:
        stuck.clear()
        gc.collect()
    loop.close()
    orders.drain(0)
    assert (orders.stats().producers, orders._core.producers.called, len(orders)) == (0, 0, 0)


def test_many_threads_lose_nothing_and_get_nothing_twice(make: Make) -> None:
    orders = make(5)
    got: list[int] = []
    lock = threading.Lock()

    def produce(first: int) -> None:
        for number in range(first, first + 200):
            orders.put(number)

    def consume() -> None:
        for number in orders:
            with lock:
                got.append(number)
                assert len(orders) <= 5

    with running(*[consume] * 16):
        with running(*[partial(produce, number * 200) for number in range(16)]):
            pass
        orders.close()
    assert sorted(got) == list(range(16 * 200))


class Crowd:
    """Producers and consumers without patience, and what they know that they put and got. Four of five are producers."""

    def __init__(self) -> None:
        self.orders: BackpressureManager[int] = BackpressureManager(3, name="stress")
        self.put: list[int] = []
        self.got: list[int] = []

    def run_a_loop(self, first: int) -> None:
        async def run() -> None:
            await asyncio.gather(*(self.be_impatient(number) for number in range(first, first + 600)))

        asyncio.run(run())

    async def be_impatient(self, number: int) -> None:
        task = asyncio.ensure_future(self.work(number))
        for _ in range(number % 7):
            await asyncio.sleep(0)
        if number % 3:
            task.cancel()
        await asyncio.wait([task], timeout=0.002)
        task.cancel()
        await asyncio.wait([task])

    async def work(self, number: int) -> None:
        if number % 5:
            await self.orders.put_async(number)
            self.put.append(number)
        else:
            self.got.append(await self.orders.get_async())

    def run_a_thread(self, first: int) -> None:
        for number in range(first, first + 400):
            with contextlib.suppress(queue.Full, queue.Empty):
                if number % 5:
                    self.orders.put(number, timeout=0.0005)
                    self.put.append(number)
                else:
                    self.got.append(self.orders.get(timeout=0.0005))


def test_threads_and_tasks_that_come_go_and_give_up_lose_nothing_and_get_nothing_twice() -> None:
    crowd = Crowd()
    loops = [partial(crowd.run_a_loop, number * 1000) for number in range(2)]
    threads = [partial(crowd.run_a_thread, number * 1000) for number in range(2, 6)]
    with running(*loops, *threads):
        pass
    assert sorted(crowd.got + crowd.orders.drain(0)) == sorted(crowd.put)
    stats = crowd.orders.stats()
    assert (stats.producers, stats.consumers, stats.accepted) == (0, 0, len(crowd.put))
    assert stats.cancelled > 0


def test_an_interrupt_in_a_wait_leaves_the_line(make: Make, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(clock, "wait", interrupted)
    orders = make(1)
    for call in (orders.get, lambda: orders.put("a") and orders.put("b")):
        with pytest.raises(KeyboardInterrupt):
            call()
    assert (orders.stats().producers, orders.stats().consumers) == (0, 0)
