"""Threads, tasks and forks: calls run side by side, probes do not exceed their number, late news change nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

import pytest

from spanguard import semconv
from spanguard.error_handling import CircuitBreaker, CircuitBreakerError, CountWindow, FailureRate
from spanguard.telemetry import COUNTS
from spanguard.testing import FakeClock

DEADLINE = 30.0


@pytest.fixture
def make(clock: FakeClock) -> Callable[..., CircuitBreaker]:
    def build(**settings: Any) -> CircuitBreaker:
        return CircuitBreaker(**{"name": "shared", "clock": clock, "reset_timeout": 10.0, **settings})

    return build


@contextmanager
def running(count: int, work: Callable[[], None]) -> Iterator[None]:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join(DEADLINE)
        assert not any(thread.is_alive() for thread in threads)


class Held:
    """A call that stays under way until it is let go; tells how many are at it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.under_way = 0
        self.refused = 0
        self.released = False

    def __call__(self) -> None:
        with self.changed:
            self.under_way += 1
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: self.released, DEADLINE)

    def attempt(self, breaker: CircuitBreaker) -> None:
        try:
            breaker.call(self)
        except CircuitBreakerError:
            with self.changed:
                self.refused += 1
                self.changed.notify_all()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, DEADLINE)

    def release(self) -> None:
        with self.changed:
            self.released = True
            self.changed.notify_all()


def fail() -> None:
    raise TimeoutError


def test_calls_run_side_by_side(make: Callable[..., CircuitBreaker]) -> None:
    breaker, held = make(), Held()
    with running(8, lambda: held.attempt(breaker)):
        held.wait_until(lambda: held.under_way == 8)
        held.release()
    assert breaker.stats().success == 8


@pytest.mark.parametrize("cap", [1, 3])
def test_64_threads_on_a_half_open_breaker_are_exactly_as_many_probes_as_allowed(
    make: Callable[..., CircuitBreaker], cap: int
) -> None:
    breaker, held = make(half_open_max_calls=cap, success_threshold=cap), Held()
    breaker.half_open()
    with running(64, lambda: held.attempt(breaker)):
        held.wait_until(lambda: held.under_way + held.refused == 64)
        assert (held.under_way, held.refused) == (cap, 64 - cap)
        held.release()
    assert (breaker.current_state, breaker.stats().rejected) == ("closed", 64 - cap)


def test_64_threads_on_an_open_breaker_whose_time_has_come_are_one_probe(
    make: Callable[..., CircuitBreaker], clock: FakeClock
) -> None:
    breaker, held = make(), Held()
    breaker.open()
    clock.advance(10)
    with running(64, lambda: held.attempt(breaker)):
        held.wait_until(lambda: held.under_way + held.refused == 64)
        assert held.under_way == 1
        held.release()
    assert breaker.current_state == "closed"


async def test_1000_tasks_on_a_half_open_breaker_are_exactly_as_many_probes_as_allowed(
    make: Callable[..., CircuitBreaker],
) -> None:
    breaker = make(half_open_max_calls=5, success_threshold=5)
    breaker.half_open()
    released, settled, under_way, refused = asyncio.Event(), asyncio.Event(), 0, 0

    def note() -> None:
        if under_way + refused == 1000:
            settled.set()

    async def probe() -> None:
        nonlocal under_way
        under_way += 1
        note()
        await released.wait()

    async def attempt() -> None:
        nonlocal refused
        try:
            await breaker.call_async(probe)
        except CircuitBreakerError:
            refused += 1
            note()

    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        for _ in range(1000):
            group.create_task(attempt())
        await settled.wait()
        assert (under_way, refused) == (5, 995)
        released.set()
    assert breaker.stats().rejected == 995
    assert breaker.current_state == "closed"


def test_no_call_is_lost_between_threads(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make(fail_max=None, failure_rate=FailureRate(1.0, minimum_calls=100), window=CountWindow(100))

    def work() -> None:
        for _ in range(500):
            breaker.call(int)
            with pytest.raises(TimeoutError):
                breaker.call(fail)

    with running(8, work):
        pass
    stats = breaker.stats()
    assert (stats.success, stats.failure, stats.window_calls) == (4000, 4000, 100)


def guarded_generator(breaker: CircuitBreaker) -> Generator[int, None, None]:
    def numbers() -> Generator[int, None, None]:
        yield 1

    iterator = breaker.call(numbers)
    next(iterator)
    return iterator


@pytest.mark.parametrize("locked", ["breaker", "counts"])
def test_a_generator_collected_while_this_thread_holds_a_lock_does_not_jam_it(
    make: Callable[..., CircuitBreaker], locked: str
) -> None:
    breaker = make()
    breaker.half_open()
    lock = breaker._core.lock if locked == "breaker" else COUNTS._lock

    def collect_inside_the_lock() -> None:
        abandoned = [guarded_generator(breaker)]
        with lock:
            abandoned.clear()

    thread = threading.Thread(target=collect_inside_the_lock, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    assert (breaker.stats().ignored, breaker.stats().probes_under_way) == (1, 0)


# --- late news -----------------------------------------------------------------------------------------------------


def test_a_failure_that_began_before_the_breaker_moved_changes_nothing(
    make: Callable[..., CircuitBreaker],
) -> None:
    breaker = make(fail_max=1)

    def fail_late() -> None:
        breaker.open()
        breaker.close()
        fail()

    with pytest.raises(TimeoutError):
        breaker.call(fail_late)
    assert (breaker.current_state, breaker.fail_counter, breaker.stats().failure) == ("closed", 0, 1)


def test_a_success_that_began_before_the_breaker_opened_does_not_close_it(
    make: Callable[..., CircuitBreaker],
) -> None:
    breaker = make()
    with breaker.calling():
        breaker.half_open()
    assert (breaker.current_state, breaker.success_counter, breaker.stats().success) == ("half-open", 0, 1)


def test_a_probe_of_an_earlier_half_open_time_changes_nothing(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make()
    breaker.half_open()

    def fail_late() -> None:
        breaker.open()
        breaker.half_open()
        fail()

    with pytest.raises(TimeoutError):
        breaker.call(fail_late)
    assert breaker.current_state == "half-open"


def test_a_lost_probe_loses_its_slot_when_its_lease_ends(make: Callable[..., CircuitBreaker], clock: FakeClock) -> None:
    breaker = make(probe_lease=30.0)
    breaker.half_open()
    lost = breaker.calling()
    copy_context().run(lost.__enter__)
    clock.advance(29.9)
    with pytest.raises(CircuitBreakerError):
        breaker.call(int)
    clock.advance(0.1)
    assert breaker.call(int) == 0
    assert breaker.current_state == "closed"


def test_what_a_lost_probe_reports_after_all_changes_nothing(
    make: Callable[..., CircuitBreaker], clock: FakeClock
) -> None:
    breaker = make(probe_lease=30.0)
    breaker.half_open()

    def fail_after_the_lease() -> None:
        clock.advance(30)
        breaker.call(int)
        breaker.half_open()
        fail()

    with pytest.raises(TimeoutError):
        breaker.call(fail_after_the_lease)
    assert breaker.current_state == "half-open"


def test_a_lost_probe_whose_slot_went_to_another_cannot_open_the_breaker(
    make: Callable[..., CircuitBreaker], clock: FakeClock
) -> None:
    breaker = make(probe_lease=30.0, success_threshold=2)
    breaker.half_open()
    lost = breaker.calling()
    copy_context().run(lost.__enter__)
    clock.advance(30)
    breaker.call(int)
    lost.__exit__(TimeoutError, TimeoutError(), None)
    assert (breaker.current_state, breaker.success_counter) == ("half-open", 1)


# --- fork ----------------------------------------------------------------------------------------------------------


InChild = Callable[[Callable[[], object]], str]


@pytest.mark.parametrize("state", ["closed", "open", "half-open"])
def test_a_child_has_its_parents_state_though_the_lock_was_held(
    make: Callable[..., CircuitBreaker], in_child: InChild, state: str
) -> None:
    breaker = make()
    if state != "closed":
        breaker.state = state
    held, forked = threading.Event(), threading.Event()

    def hold() -> None:
        with breaker._core.lock:
            held.set()
            forked.wait(DEADLINE)

    def works_on() -> bool:
        before = breaker.current_state
        breaker.close()
        return (before, breaker.call(int), breaker.current_state) == (state, 0, "closed")

    with running(1, hold):
        held.wait(DEADLINE)
        try:
            answer = in_child(works_on)
        finally:
            forked.set()
    assert answer == "True"
    assert breaker.current_state == state


def test_a_child_does_not_wait_for_the_probes_of_its_parents_other_threads(
    make: Callable[..., CircuitBreaker], in_child: InChild
) -> None:
    breaker, held = make(), Held()
    breaker.half_open()
    with running(1, lambda: held.attempt(breaker)):
        held.wait_until(lambda: held.under_way == 1)
        try:
            answer = in_child(lambda: breaker.call(int))
        finally:
            held.release()
    assert answer == "0"


def test_a_probe_that_forks_is_still_one_in_the_child(make: Callable[..., CircuitBreaker], in_child: InChild) -> None:
    breaker = make()
    breaker.half_open()
    with breaker.calling():
        assert in_child(lambda: breaker.stats().probes_under_way) == "1"


def test_a_child_counts_from_zero(make: Callable[..., CircuitBreaker], in_child: InChild) -> None:
    breaker = make(name="forked")
    breaker.call(int)

    def counted() -> float:
        return sum(
            value
            for attributes, value in COUNTS.read(semconv.BREAKER_CALLS_METRIC)
            if attributes[semconv.POLICY_NAME.key] == "forked"
        )

    def before_and_after_a_call() -> tuple[float, float]:
        before = counted()
        breaker.call(int)
        return before, counted()

    assert in_child(before_and_after_a_call) == "(0, 1)"
    assert counted() == 1
