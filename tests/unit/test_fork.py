"""A fork in every state of every guard: the child works at once, counts from zero, and the parent goes on."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from spanguard import semconv
from spanguard.error_handling import (
    Bulkhead,
    CircuitBreaker,
    CircuitBreakerError,
    DeadLetterQueue,
    ErrorHandler,
    FallbackValue,
    GracefulDegradation,
    LastGood,
    Retry,
    RetryBudget,
    RetryConfig,
    Timeout,
    remaining,
)
from spanguard.error_handling.dead_letter.fork_gate import FORK_GATE
from spanguard.fork_gate import IMPORTS
from spanguard.guard import Guard
from spanguard.rate_limiter import AdaptiveLimiter, BackpressureManager, TokenBucketLimiter
from spanguard.telemetry import COUNTS, histograms
from spanguard.testing import FakeClock, Signals
from unit.bulkhead.callers import all_taken, running, wait_until

DEADLINE = 20.0

InChild = Callable[[Callable[[], object]], str]
Use = Callable[[], bool]
"""Uses the guard once, and tells whether it did what it should."""

State = Callable[[Path], AbstractContextManager[Use]]

# Python warns of every fork of a process with threads; that such a fork works is what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def fail() -> None:
    raise ConnectionError


@contextmanager
def busy(work: Callable[[Callable[[], None]], object]) -> Iterator[None]:
    """Another thread is inside `work` until the block ends: it calls what it is given once it is there, and waits in it."""
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        inside.set()
        assert leave.wait(DEADLINE)

    with running(lambda: work(hold)):
        assert inside.wait(DEADLINE)
        try:
            yield
        finally:
            leave.set()


@contextmanager
def breaker_in(state: str) -> Iterator[Use]:
    breaker = CircuitBreaker(name="forked", reset_timeout=3600)
    if state == "closed":
        breaker.call(int)
    elif state == "open":
        breaker.open()
    else:
        breaker.half_open()

    def use() -> bool:
        try:
            return breaker.call(int) == 0 and state != "open"
        except CircuitBreakerError:
            return state == "open"

    with ExitStack() as stack:
        if state == "probed":
            stack.enter_context(busy(breaker.call))
        yield use


@contextmanager
def spent_retry_budget(_: Path) -> Iterator[Use]:
    budget = RetryBudget("forked", ratio=0, min_per_second=0.1, window=10)
    retry = Retry(name="forked", base_delay=0, max_delay=0, budget=budget)
    assert budget.try_spend()

    def use() -> bool:
        with pytest.raises(ConnectionError) as caught:
            retry.call(fail)
        return "budget" in caught.value.__notes__[0] and budget.utilization() == 1

    with busy(retry.call):
        yield use


@contextmanager
def retry_that_waits(_: Path) -> Iterator[Use]:
    retry = Retry(name="forked", base_delay=0.2, max_delay=0.2, jitter="none", max_attempts=2, budget=None)
    errors = [ConnectionError()]
    failed = threading.Event()

    def fail_once() -> None:
        failed.set()
        if errors:
            raise errors.pop()

    with running(lambda: retry.call(fail_once)):
        assert failed.wait(DEADLINE)
        yield lambda: retry.call(int) == 0


@contextmanager
def full_bulkhead_with_a_queue(_: Path) -> Iterator[Use]:
    bulkhead = Bulkhead(2, 4, None, name="forked")
    with all_taken(bulkhead) as release, running(lambda: bulkhead.call(int), lambda: bulkhead.call(int)):
        try:
            wait_until(lambda: bulkhead.stats().queued == 2)
            yield lambda: bulkhead.call(int) == 0 and bulkhead.stats().queued == bulkhead.stats().running == 0
        finally:
            release()


@contextmanager
def timeout_under_way(_: Path) -> Iterator[Use]:
    timeout = Timeout(3600, name="forked")
    timeout.call(int)
    with busy(timeout.call), timeout.calling():
        # The child forks inside the block, so what is left of it bounds the child's own calls too.
        yield lambda: timeout.call(has_a_deadline)


def has_a_deadline() -> bool:
    left = remaining()
    return left is not None and left <= 3600


@contextmanager
def degradation_under_way(_: Path) -> Iterator[Use]:
    policy = GracefulDegradation(LastGood(), FallbackValue("none"), name="forked")
    assert policy.call(len, "seen") == 4

    def refuse(_: str) -> int:
        raise ConnectionError

    with busy(policy.call):
        yield lambda: policy.call(len, "seen") == 4 and policy.call(refuse, "new") == "none"


@contextmanager
def limiter_waited_for(_: Path) -> Iterator[Use]:
    clock = FakeClock()
    limiter = TokenBucketLimiter(1, 1, name="forked", clock=clock)
    limiter.acquire()
    with running(lambda: limiter.acquire(wait=True, timeout=60)):
        clock.wait_for_sleepers(1)
        yield lambda: not limiter.acquire() and limiter.stats().waiting == 0
        clock.advance(1)


@contextmanager
def shared_limiter_degraded(_: Path) -> Iterator[Use]:
    # Nobody listens on port 1.
    limiter = TokenBucketLimiter(1e-6, 2, name="forked", storage="redis://127.0.0.1:1", fallback_share=1.0)
    with busy(lambda hold: held_while(limiter._lock, hold)):
        yield lambda: limiter.acquire().fallback and limiter.stats().fallback == limiter.stats().acquired == 1


@contextmanager
def adaptive_limiter_under_way(_: Path) -> Iterator[Use]:
    limiter = AdaptiveLimiter(initial=1, maximum=1, queue=2, name="forked")
    leave = threading.Event()
    with running(lambda: limiter.call(leave.wait, DEADLINE), lambda: limiter.call(int)):
        try:
            wait_until(lambda: limiter.stats().queued == 1)
            with busy(lambda hold: held_while(limiter._permits.lock, hold)):
                yield lambda: limiter.call(int) == 0 and limiter.stats().running == limiter.stats().queued == 0
        finally:
            leave.set()


@contextmanager
def full_queue_with_producers(_: Path) -> Iterator[Use]:
    queue: BackpressureManager[str] = BackpressureManager(1, name="forked")
    assert queue.put("first")

    def use() -> bool:
        # The items are the parent's to work off; the child begins with none.
        return queue.put("child") and queue.get() == "child" and queue.stats().producers == 0

    with running(lambda: queue.put("second")):
        try:
            wait_until(lambda: queue.stats().producers == 1)
            with busy(lambda hold: held_while(queue._core._lock, hold)):
                yield use
        finally:
            assert [queue.get(timeout=DEADLINE), queue.get(timeout=DEADLINE)] == ["first", "second"]


@contextmanager
def dead_letter_queue_under_replay(folder: Path) -> Iterator[Use]:
    queue = DeadLetterQueue(f"sqlite:///{folder}/letters.db", "forked")
    queue.handler("send")(lambda _: None)
    held = queue.add("slow", {})

    def replay(hold: Callable[[], None]) -> None:
        queue.handler("slow")(lambda _: hold())
        queue.replay()

    def use() -> bool:
        # The letter under replay is leased to the parent, also in the child.
        queue.add("send", {})
        return queue.replay().replayed == 1 and [letter.id for letter in queue.list()] == [held]

    with busy(replay):
        yield use
    assert queue.list() == ()
    queue.close()


@contextmanager
def error_handler_in_a_storm(_: Path) -> Iterator[Use]:
    handler = ErrorHandler(storm_window=3600)
    error = ConnectionError()
    for _again in range(3):
        handler.handle(error)

    def use() -> bool:
        handler.handle(error)
        return handler.stats()["ConnectionError"].count == 4

    with busy(lambda hold: held_while(handler._lock, hold)):
        yield use
    handler.flush()


@contextmanager
def guard_under_way(_: Path) -> Iterator[Use]:
    guard = Guard(
        "forked",
        rate_limiter=TokenBucketLimiter(1e6, 1000, name="forked"),
        bulkhead=Bulkhead(1, 4, name="forked"),
        retry=RetryConfig(max_attempts=2, base_delay=0, max_delay=0),
        circuit_breaker=CircuitBreaker(name="forked"),
        timeout=30.0,
        deadline=3600.0,
        fallback="none",
    )
    with busy(guard.call):
        yield lambda: guard.call(int) == 0 and guard.call(fail) == "none"


def held_while(lock: Any, work: Callable[[], None]) -> None:
    with lock:
        work()


def of_policy(metric: semconv.Metric) -> float:
    """All that this process has counted of the guards of this file."""
    return sum(value for attributes, value in COUNTS.read(metric) if "forked" in attributes.values())


def of_process(metric: semconv.Metric) -> float:
    """All that this process has counted."""
    return sum(value for _, value in COUNTS.read(metric))


STATES: dict[str, tuple[State, Callable[[], float], int]] = {
    "breaker, closed": (lambda _: breaker_in("closed"), partial(of_policy, semconv.BREAKER_CALLS_METRIC), 1),
    "breaker, open": (lambda _: breaker_in("open"), partial(of_policy, semconv.BREAKER_CALLS_METRIC), 1),
    "breaker, half-open": (lambda _: breaker_in("half-open"), partial(of_policy, semconv.BREAKER_CALLS_METRIC), 1),
    "breaker, probe under way": (lambda _: breaker_in("probed"), partial(of_policy, semconv.BREAKER_CALLS_METRIC), 1),
    "retry, budget spent": (spent_retry_budget, partial(of_policy, semconv.RETRY_CALLS_METRIC), 1),
    "retry, waiting": (retry_that_waits, partial(of_policy, semconv.RETRY_CALLS_METRIC), 1),
    "bulkhead, full, with a queue": (full_bulkhead_with_a_queue, partial(of_policy, semconv.BULKHEAD_CALLS_METRIC), 1),
    "timeout, under way": (timeout_under_way, partial(of_policy, semconv.TIMEOUT_CALLS_METRIC), 1),
    "degradation, under way": (degradation_under_way, partial(of_policy, semconv.DEGRADATION_ANSWERS_METRIC), 2),
    "limiter, waited for": (limiter_waited_for, partial(of_policy, semconv.LIMITER_REQUESTS_METRIC), 1),
    "shared limiter, degraded": (shared_limiter_degraded, partial(of_policy, semconv.LIMITER_REQUESTS_METRIC), 1),
    "adaptive limiter, under way": (adaptive_limiter_under_way, partial(of_policy, semconv.ADAPTIVE_CALLS_METRIC), 1),
    "bounded queue, full": (full_queue_with_producers, partial(of_policy, semconv.BACKPRESSURE_PUTS_METRIC), 1),
    "dead letters, under replay": (
        dead_letter_queue_under_replay,
        partial(of_policy, semconv.DEAD_LETTER_MESSAGES_METRIC),
        2,
    ),
    "guard, under way": (guard_under_way, partial(of_policy, semconv.TIMEOUT_CALLS_METRIC), 3),
    "error handler, in a storm": (error_handler_in_a_storm, partial(of_process, semconv.ERRORS_METRIC), 1),
}


@pytest.mark.parametrize(("state", "counted", "counts"), STATES.values(), ids=STATES)
def test_a_child_works_at_once_and_counts_from_zero(
    state: State, counted: Callable[[], float], counts: int, in_child: InChild, tmp_path: Path
) -> None:
    with state(tmp_path) as use:

        def before_use_and_after() -> tuple[float, bool, float]:
            return counted(), use(), counted()

        assert in_child(before_use_and_after) == f"(0, True, {counts})"


def is_ours(value: object) -> bool:
    return type(value).__module__.startswith("spanguard.") and hasattr(value, "__dict__")


def locks() -> Iterator[tuple[str, Any]]:
    """Every lock that a module of spanguard holds, itself or in an object of its own that lives as long as it does."""
    kinds = (type(threading.Lock()), type(threading.RLock()))
    for module_name, module in sorted(sys.modules.items()):
        if module_name.startswith("spanguard."):
            for name, value in vars(module).items():
                inside = vars(value) if is_ours(value) else {}
                for attribute, lock in [("", value), *inside.items()]:
                    if isinstance(lock, kinds):
                        yield f"{module_name}.{name}.{attribute}", lock


def is_free(lock: Any) -> bool:
    free = lock.acquire(timeout=0)
    if free:
        lock.release()
    return bool(free)


def test_no_lock_that_the_parent_held_is_held_in_the_child(in_child: InChild) -> None:
    taken: dict[int, Any] = {}

    def take_all(hold: Callable[[], None]) -> None:
        with ExitStack() as stack:
            for _, lock in locks():
                # A fork waits for these itself, so nobody else can hold them at a fork.
                if id(lock) not in taken and lock not in (FORK_GATE._lock, IMPORTS._lock, histograms._lock):
                    taken[id(lock)] = stack.enter_context(lock)
            hold()

    def still_held() -> list[str]:
        return [name for name, lock in locks() if not is_free(lock)]

    with busy(take_all):
        assert in_child(still_held) == "[]"
    assert len(taken) > 5


class Slow(float):
    """A number that the SDK is slow to find the bucket of, from the moment at which a fork begins."""

    forks = threading.Event()

    def __gt__(self, other: object) -> bool:
        inside.set()
        self.forks.wait(DEADLINE)
        threading.Event().wait(0.2)  # for as long as a fork that does not wait needs
        return True


inside = threading.Event()
os.register_at_fork(before=Slow.forks.set)


def test_a_fork_waits_for_a_thread_that_records(in_child: InChild, signals: Signals) -> None:
    def note(seconds: float) -> None:
        histograms.record(semconv.RETRY_BACKOFF_METRIC, seconds, {semconv.POLICY_NAME.key: "forked"})

    Slow.forks.clear()
    with running(partial(note, Slow(1))):
        assert inside.wait(DEADLINE)
        assert in_child(partial(note, 1.0)) == "None"


def test_a_child_of_a_busy_process_never_hangs(in_child: InChild, tmp_path: Path, signals: Signals) -> None:
    breaker = CircuitBreaker(name="busy", fail_max=2, reset_timeout=0.001)
    retry = Retry(name="busy", base_delay=0, max_delay=0, max_attempts=2)
    bulkhead = Bulkhead(2, 8, 1.0, name="busy")
    timeout = Timeout(3600, name="busy")
    degradation = GracefulDegradation(LastGood(), 0, name="busy")
    limiter = TokenBucketLimiter(1e6, 1000, name="busy")
    handler = ErrorHandler()
    letters = DeadLetterQueue(f"sqlite:///{tmp_path}/letters.db", "busy")
    done = threading.Event()

    def use_all() -> int:
        limiter.acquire()
        handler.handle(ConnectionError())
        return bulkhead.call(lambda: timeout.call(lambda: degradation.call(retry.call, breaker.call, fail)))  # type: ignore[no-any-return]

    def repeat(work: Callable[[], object]) -> None:
        while not done.is_set():
            work()

    def add_and_rest() -> None:
        letters.add("send", {})
        done.wait(0.005)  # SQLite serves writers in no order: one without a break may keep another out for ever

    def add_and_use_all() -> int:
        letters.add("send", {})
        return use_all()

    with running(*[partial(repeat, use_all)] * 3, partial(repeat, add_and_rest)):
        try:
            answers = [in_child(add_and_use_all) for _ in range(40)]
        finally:
            done.set()
    letters.close()
    assert answers == ["0"] * 40
