"""The watch over a shared storage, by a clock of the test."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from spanguard import semconv
from spanguard.rate_limiter.storages.watch import TRY_AGAIN, Watch
from spanguard.testing import FakeClock, Signals


class Storage:
    """A storage that answers or not, as the test says, and counts who asked."""

    def __init__(self) -> None:
        self.answers = False
        self.asked = threading.Semaphore(0)

    def probe(self) -> None:
        self.asked.release()
        if not self.answers:
            raise ConnectionError("away")


@pytest.fixture
def watch(clock: FakeClock) -> Watch:
    return Watch("api", clock=clock)


def test_a_loss_and_a_find_are_told_once_each(watch: Watch, signals: Signals) -> None:
    for _ in range(3):
        watch.lose(ConnectionError("away"))
    for _ in range(3):
        watch.find()
    told = [
        (event.attributes[semconv.LIMITER_STORAGE_STATE.key], event.attributes.get(semconv.ERROR_TYPE.key))
        for event in signals.events(semconv.LIMITER_STORAGE_EVENT.name)
    ]
    assert told == [("degraded", "ConnectionError"), ("available", None)]


def test_it_is_tried_again_and_again_until_it_answers(watch: Watch, clock: FakeClock) -> None:
    storage = Storage()
    watch.lose(ConnectionError("away"))
    watch.keep_probing(storage.probe)
    for _ in range(3):
        clock.wait_for_sleepers()
        assert not storage.asked.acquire(blocking=False), "it was tried before its time"
        clock.advance(TRY_AGAIN[1])
        assert storage.asked.acquire(timeout=10)
    storage.answers = True
    clock.wait_for_sleepers()
    clock.advance(TRY_AGAIN[1])
    assert storage.asked.acquire(timeout=10)
    for thread in threading.enumerate():
        if thread.name == "spanguard-limiter-probe":
            thread.join(10)
    assert not watch.is_degraded


def test_however_many_decisions_come_one_thread_tries(watch: Watch, clock: FakeClock) -> None:
    storage = Storage()
    before = threading.active_count()
    watch.lose(ConnectionError("away"))
    for _ in range(100):
        watch.keep_probing(storage.probe)
    clock.wait_for_sleepers()
    assert (threading.active_count() - before, clock.sleeping) == (1, 1)


def test_processes_that_lost_it_at_once_do_not_try_at_once(clock: FakeClock) -> None:
    watches = [Watch("api", clock=clock) for _ in range(100)]
    for watch in watches:
        watch.lose(ConnectionError("away"))
    pauses = sorted(watch.pause() for watch in watches)
    low, high = TRY_AGAIN
    assert low <= pauses[0]
    assert pauses[-1] <= high
    each_tenth = [sum(low + tenth * (high - low) / 10 <= pause for pause in pauses) for tenth in range(10)]
    assert all(earlier - later < 30 for earlier, later in zip(each_tenth, [*each_tenth[1:], 0], strict=True))


def test_a_child_is_not_held_up_by_a_lock_of_its_parent(
    watch: Watch, in_child: Callable[[Callable[[], object]], str]
) -> None:
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with watch._lock:
            held.set()
            release.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    try:

        def lost() -> bool:
            watch.lose(ConnectionError("away"))
            return watch.is_degraded

        assert in_child(lost) == "True"
    finally:
        release.set()
        thread.join(10)
