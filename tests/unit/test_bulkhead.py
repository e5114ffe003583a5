"""The bulkhead: so many calls at once, a bounded and fair queue, and a permit that is never lost."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from spanguard.error_handling import Bulkhead, BulkheadFullError
from spanguard.errors import BlockingWaitError
from spanguard.telemetry.deadline import deadline
from spanguard.testing import FakeClock, Signals

DEADLINE = 30.0


@pytest.fixture
def make(clock: FakeClock) -> Callable[..., Bulkhead]:
    def build(limit: int = 1, queue: int = 0, max_wait: float | None = None) -> Bulkhead:
        return Bulkhead(limit, queue, max_wait, name="api", clock=clock)

    return build


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


async def echo(number: int) -> int:
    return number


def is_idle(bulkhead: Bulkhead) -> bool:
    stats = bulkhead.stats()
    return (stats.running, stats.queued) == (0, 0)


# --- refusals ------------------------------------------------------------------------------------------------------


def test_without_a_queue_a_call_beyond_the_limit_is_refused_at_once(make: Callable[..., Bulkhead]) -> None:
    bulkhead = make(2)
    with all_taken(bulkhead), pytest.raises(BulkheadFullError) as caught:
        bulkhead.call(int)
    error = caught.value
    assert (error.name, error.outcome, error.limit, error.queued, error.waited) == ("api", "rejected", 2, 0, 0.0)
    assert isinstance(error, TimeoutError)


def test_a_call_beyond_the_queue_is_refused(make: Callable[..., Bulkhead]) -> None:
    bulkhead = make(queue=1)
    with all_taken(bulkhead) as release, running(lambda: bulkhead.call(int)):
        wait_until(lambda: bulkhead.stats().queued == 1)
        with pytest.raises(BulkheadFullError, match="1 wait"):
            bulkhead.call(int)
        release()
    assert bulkhead.stats().admitted == 2


def test_a_thread_waits_no_longer_than_max_wait(make: Callable[..., Bulkhead], clock: FakeClock) -> None:
    bulkhead, caught = make(queue=1, max_wait=2), []

    def attempt() -> None:
        with pytest.raises(BulkheadFullError) as refusal:
            bulkhead.call(int)
        caught.append(refusal.value)

    with all_taken(bulkhead), running(attempt):
        clock.wait_for_sleepers()
        clock.advance(2)
        wait_until(lambda: bool(caught))
    assert (caught[0].outcome, caught[0].waited) == ("timed_out", 2.0)
    assert is_idle(bulkhead)


async def test_a_task_waits_no_longer_than_max_wait(make: Callable[..., Bulkhead], clock: FakeClock) -> None:
    bulkhead = make(queue=1, max_wait=2)
    async with bulkhead.calling():
        attempt = asyncio.ensure_future(bulkhead.call_async(asyncio.sleep, 0))
        await until(lambda: clock.sleeping == 1)
        clock.advance(2)
        with pytest.raises(BulkheadFullError) as caught:
            await attempt
    assert caught.value.outcome == "timed_out"
    assert bulkhead.stats().timed_out == 1
    assert is_idle(bulkhead)


async def test_nobody_waits_longer_than_the_deadline_around_it(make: Callable[..., Bulkhead], clock: FakeClock) -> None:
    bulkhead = make(queue=1, max_wait=60)
    async with bulkhead.calling():
        with deadline(1, clock=clock):
            attempt = asyncio.ensure_future(bulkhead.call_async(asyncio.sleep, 0))
        await until(lambda: clock.sleeping == 1)
        clock.advance(1)
        with pytest.raises(BulkheadFullError) as caught:
            await attempt
    assert caught.value.waited == 1.0


async def test_a_plain_call_that_could_wait_is_refused_in_the_thread_of_an_event_loop(
    make: Callable[..., Bulkhead],
) -> None:
    with pytest.raises(BlockingWaitError, match="call_async"):
        make(queue=1).call(int)


async def test_a_plain_call_that_cannot_wait_may_be_made_there(make: Callable[..., Bulkhead]) -> None:
    assert make().call(str, 1) == "1"


# --- the queue -----------------------------------------------------------------------------------------------------


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


# --- fork ----------------------------------------------------------------------------------------------------------


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


# --- signals -------------------------------------------------------------------------------------------------------


def test_limit_usage_and_queue_are_exported(make: Callable[..., Bulkhead], signals: Signals) -> None:
    bulkhead, policy = make(2, queue=5), {"spanguard.policy.name": "api"}
    with all_taken(bulkhead) as release, running(lambda: bulkhead.call(int)):
        wait_until(lambda: bulkhead.stats().queued == 1)
        values = [signals.value(f"spanguard.bulkhead.{name}", policy) for name in ("limit", "usage", "queued")]
        release()
    assert values == [2, 2, 1]


def test_every_call_is_counted_by_its_outcome(make: Callable[..., Bulkhead], signals: Signals) -> None:
    bulkhead = make()
    with bulkhead.calling(), pytest.raises(BulkheadFullError):
        bulkhead.call(int)
    counted = {
        outcome: signals.increase("spanguard.bulkhead.calls", {"spanguard.bulkhead.outcome": outcome})
        for outcome in ("admitted", "rejected")
    }
    assert counted == {"admitted": 1, "rejected": 1}


def test_a_refusal_is_an_event_and_a_failed_span(make: Callable[..., Bulkhead], signals: Signals) -> None:
    bulkhead = make()
    with all_taken(bulkhead), pytest.raises(BulkheadFullError):
        bulkhead.call(int)
    (event,) = signals.events("spanguard.bulkhead.rejected")
    (span,) = [span for span in signals.spans("guard api") if span.status == "error"]
    assert event.attributes["spanguard.bulkhead.permit.count"] == 1
    assert event.span_id == span.span_id
    assert span.attributes["spanguard.outcome"] == "rejected"
    assert span.attributes["spanguard.bulkhead.outcome"] == "rejected"


def test_a_wait_is_a_child_span_and_a_duration(make: Callable[..., Bulkhead], signals: Signals) -> None:
    bulkhead = make(queue=1)
    with all_taken(bulkhead) as release, running(lambda: bulkhead.call(int)):
        wait_until(lambda: bulkhead.stats().queued == 1)
        release()
    (wait,) = signals.spans("queue api")
    assert wait.parent_id in {span.span_id for span in signals.spans("guard api")}
    assert wait.attributes["spanguard.bulkhead.outcome"] == "admitted"
    assert [point.attributes for point in signals.points("spanguard.bulkhead.call.time_in_queue")]
