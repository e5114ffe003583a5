"""The end of a queue: closing, draining, and a fork."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from spanguard.rate_limiter import QueueClosedError
from spanguard.testing import FakeClock
from unit.backpressure.conftest import Make
from unit.bulkhead.callers import running, until, wait_until


def test_a_closed_queue_takes_nothing_and_gives_what_it_has(make: Make) -> None:
    orders = make()
    orders.put("a")
    orders.close()
    with pytest.raises(QueueClosedError):
        orders.put("b")
    assert list(orders) == ["a"]
    with pytest.raises(QueueClosedError):
        orders.get()
    assert (orders.is_closed, orders.stats().closed) == (True, 1)


async def test_closing_ends_the_waits_of_producers_and_consumers(make: Make) -> None:
    full, empty = make(1), make(1)
    full.put("a", timeout=0)
    waiting = [asyncio.ensure_future(wait) for wait in (full.put_async("b"), full.put_async("c"), empty.get_async())]
    await until(lambda: full.stats().producers + empty.stats().consumers == 3)
    full.close()
    empty.close()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(error) for error in ended] == [QueueClosedError] * 3
    assert full.drain(0) == ["a"]


async def test_tasks_iterate_until_the_queue_is_closed_and_empty(make: Make) -> None:
    orders = make(2)
    got: list[str] = []

    async def consume() -> None:
        got.extend([item async for item in orders])

    consumer = asyncio.ensure_future(consume())
    for item in "abcde":
        await orders.put_async(item)
    orders.close()
    await consumer
    assert got == list("abcde")


def test_drain_waits_for_the_consumers_and_returns_nothing_then(make: Make) -> None:
    orders, drained = make(3), []
    for item in "abc":
        orders.put(item)
    with running(lambda: drained.append(orders.drain(60))):
        wait_until(lambda: orders.is_closed)
        got = list(orders)
    assert (got, drained) == (list("abc"), [[]])


def test_drain_returns_what_is_left_when_its_budget_is_spent(make: Make, clock: FakeClock) -> None:
    orders, drained = make(3), []
    for item in "abc":
        orders.put(item)
    with running(lambda: drained.append(orders.drain(5))):
        clock.wait_for_sleepers()
        assert orders.get() == "a"
        clock.advance(5)
    assert drained == [["b", "c"]]
    stats = orders.stats()
    assert (stats.accepted, stats.taken, stats.drained, stats.depth) == (3, 1, 2, 0)


async def test_a_task_drains_too(make: Make, clock: FakeClock) -> None:
    orders = make(2)
    await orders.put_async("a")
    draining = asyncio.ensure_future(orders.drain_async(5))
    await until(lambda: clock.sleeping == 1)
    clock.advance(5)
    assert await draining == ["a"]


async def test_a_drain_that_is_cancelled_leaves_the_items_in_the_queue(make: Make) -> None:
    orders = make(2)
    await orders.put_async("a")
    draining = asyncio.ensure_future(orders.drain_async(5))
    await until(lambda: orders.is_closed)
    draining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await draining
    assert len(orders._core.drainers) == 0
    assert orders.drain(0) == ["a"]


def test_drain_refuses_the_producers_that_wait(make: Make) -> None:
    orders, errors = make(1), []
    orders.put("a")

    def produce() -> None:
        with pytest.raises(QueueClosedError) as caught:
            orders.put("b")
        errors.append(caught.value.name)

    with running(produce):
        wait_until(lambda: orders.stats().producers == 1)
        assert orders.drain(0) == ["a"]
    assert errors == ["orders"]


# --- fork ----------------------------------------------------------------------------------------------------------


def test_a_forked_child_has_an_empty_queue_of_its_own(
    make: Make, in_child: Callable[[Callable[[], object]], str]
) -> None:
    orders = make(1, high_watermark=1.0)
    orders.put("parents")
    orders.close()

    def child() -> object:
        seen = len(orders), orders.under_pressure, orders.is_closed, orders.stats().accepted
        orders.put("childs")
        return *seen, orders.get(), orders.stats().accepted

    assert in_child(child) == repr((0, False, False, 0, "childs", 1))
    assert orders.drain(0) == ["parents"]


def test_a_child_forked_while_a_thread_holds_the_locks_is_not_stuck(
    make: Make, in_child: Callable[[Callable[[], object]], str]
) -> None:
    orders = make(1)
    with orders._core._lock, orders._telling:
        assert in_child(lambda: (orders.put("a"), orders.get(), orders.drain(0))) == repr((True, "a", []))


def test_threads_that_wait_in_the_parent_are_not_in_the_line_of_the_child(
    make: Make, in_child: Callable[[Callable[[], object]], str]
) -> None:
    orders = make(1)
    with running(orders.get):
        wait_until(lambda: orders.stats().consumers == 1)
        assert in_child(lambda: (orders.put("a"), orders.stats().consumers, len(orders))) == repr((True, 0, 1))
        orders.put("b")


def test_a_task_that_waits_across_a_fork_goes_on_with_the_queue_of_the_child(
    make: Make, in_child: Callable[[Callable[[], object]], str]
) -> None:
    orders = make(1)
    orders.put("parents")
    loop = asyncio.new_event_loop()

    async def begin(waiting: list[asyncio.Future[bool]]) -> None:
        waiting.append(asyncio.ensure_future(orders.put_async("b")))
        await until(lambda: orders.stats().producers == 1)

    tasks: list[asyncio.Future[bool]] = []
    loop.run_until_complete(begin(tasks))
    assert in_child(lambda: (loop.run_until_complete(tasks[0]), orders.drain(0))) == repr((True, ["b"]))
    assert orders.get() == "parents"
    assert loop.run_until_complete(tasks[0])
    loop.close()
