"""The token bucket limiter: decisions, waiting, errors, signals, fork and garbage."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import pickle
import threading
import weakref
from typing import Any

import pytest
from opentelemetry import trace

from spanguard import semconv
from spanguard.errors import ConfigurationError
from spanguard.rate_limiter import (
    BlockingWaitError,
    RateLimitExceededError,
    RateLimitManager,
    RateLimitStatus,
    TokenBucketLimiter,
)
from spanguard.testing import FakeClock, Signals

REQUESTS = semconv.LIMITER_REQUESTS_METRIC.name
REJECTED_EVENT = semconv.LIMITER_REJECTED_EVENT.name
POLICY = semconv.POLICY_NAME.key
RESULT = semconv.LIMITER_RESULT.key
STRATEGY = semconv.LIMITER_STRATEGY.key


@pytest.fixture
def limiter(clock: FakeClock) -> TokenBucketLimiter:
    """Two a second, three at once."""
    return TokenBucketLimiter(2, 3, name="unit", clock=clock)


def drain(limiter: TokenBucketLimiter, key: str = "") -> None:
    while limiter.acquire(key=key):
        pass


def wait_in_thread(limiter: TokenBucketLimiter, done: list[str], name: str, **options: Any) -> threading.Thread:
    def run() -> None:
        limiter.acquire(wait=True, **options)
        done.append(name)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


async def until_waiting(limiter: TokenBucketLimiter, count: int) -> None:
    """Wait, in real time, until so many stand in line and sleep."""
    clock = limiter._clock
    assert isinstance(clock, FakeClock)
    async with asyncio.timeout(10):
        while not limiter.stats().waiting == clock.sleeping == count:  # noqa: ASYNC110 - polls a condition with a deadline
            await asyncio.sleep(0)


async def until_done(tasks: list[asyncio.Task[Any]], count: int) -> None:
    async with asyncio.timeout(10):
        while sum(task.done() for task in tasks) < count:  # noqa: ASYNC110 - polls a condition with a deadline
            await asyncio.sleep(0)


# --- decisions -----------------------------------------------------------------------------------------------------


def test_a_full_bucket_gives_its_burst_at_once_and_no_more(limiter: TokenBucketLimiter) -> None:
    assert [limiter.acquire().allowed for _ in range(4)] == [True, True, True, False]


def test_a_status_says_what_is_left_and_when_to_come_back(limiter: TokenBucketLimiter) -> None:
    assert limiter.acquire(2) == RateLimitStatus(True, 1, 0.0, 1.0, 3)
    assert limiter.acquire(2) == RateLimitStatus(False, 1, 0.5, 1.0, 3)


def test_a_status_is_true_only_if_the_request_was_admitted(limiter: TokenBucketLimiter) -> None:
    assert bool(limiter.acquire(3)) is True
    assert bool(limiter.acquire()) is False


def test_a_request_is_admitted_to_the_tick_when_its_retry_after_has_passed(clock: FakeClock) -> None:
    limiter = TokenBucketLimiter(1, 3, name="unit", clock=clock)
    drain(limiter)
    retry_after = limiter.acquire().retry_after
    clock.advance(retry_after - 2**-30)
    assert not limiter.acquire()
    clock.advance(limiter.acquire().retry_after)
    assert limiter.acquire()


def test_a_quiet_time_earns_no_more_than_the_burst(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    clock.advance(1_000_000)
    assert [limiter.acquire().allowed for _ in range(4)] == [True, True, True, False]


def test_each_key_has_a_bucket_of_its_own(limiter: TokenBucketLimiter) -> None:
    drain(limiter, key="anna")
    assert not limiter.acquire(key="anna")
    assert limiter.acquire(key="ben").remaining == 2


def test_a_jump_of_the_wall_clock_changes_nothing(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    clock.jump_wall_clock(3600)
    assert not limiter.acquire()
    clock.jump_wall_clock(-7200)
    clock.advance(0.5)
    assert limiter.acquire()


def test_idle_keys_are_forgotten_while_new_ones_come(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    for number in range(10_000):
        limiter.acquire(key=f"key {number}")
        clock.advance(0.1)
    assert len(limiter._buckets) < 100


def test_keys_in_use_are_never_forgotten(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter, key="busy")
    for number in range(1000):
        limiter.acquire(key=f"key {number}")
    assert not limiter.acquire(key="busy")


def test_eighty_rates_of_one_tenth_make_exactly_one_token_in_ten_seconds(clock: FakeClock) -> None:
    limiter = TokenBucketLimiter(0.1, 1, name="slow", clock=clock)
    limiter.acquire()
    clock.advance(10)
    assert limiter.acquire()


# --- waiting -------------------------------------------------------------------------------------------------------


async def test_waiting_tasks_are_served_first_come_first_served(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    order: list[int] = []

    async def wait(number: int, tokens: int) -> None:
        await limiter.acquire_async(tokens, wait=True)
        order.append(number)

    tasks = []
    for number, tokens in enumerate((3, 1, 2, 1)):
        tasks.append(asyncio.create_task(wait(number, tokens)))
        await until_waiting(limiter, number + 1)
    for served, seconds in enumerate((1.5, 0.5, 1.0, 0.5), start=1):
        clock.advance(seconds)
        await until_done(tasks, served)
        assert order == list(range(served))


async def test_nobody_overtakes_those_who_wait(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    waiting = asyncio.create_task(limiter.acquire_async(3, wait=True))
    await until_waiting(limiter, 1)
    clock.advance(1.0)
    refused = limiter.acquire()
    assert (refused.allowed, refused.retry_after) == (False, 1.0)
    clock.advance(0.5)
    assert (await waiting).allowed


async def test_a_wait_on_one_key_holds_up_no_other(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter, key="anna")
    waiting = asyncio.create_task(limiter.acquire_async(wait=True, key="anna"))
    await until_waiting(limiter, 1)
    assert limiter.acquire(key="ben")
    clock.advance(0.5)
    assert (await waiting).allowed


def test_a_request_that_cannot_be_served_in_time_is_told_at_once(limiter: TokenBucketLimiter) -> None:
    drain(limiter)
    status = limiter.acquire(wait=True, timeout=0.4)
    assert (status.allowed, status.retry_after) == (False, 0.5)
    assert limiter.stats().timed_out == 1


async def test_the_timeout_counts_those_ahead_in_the_line(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    ahead = asyncio.create_task(limiter.acquire_async(2, wait=True))
    await until_waiting(limiter, 1)
    assert (await limiter.acquire_async(wait=True, timeout=1.4)).retry_after == 1.5
    clock.advance(1.0)
    await ahead


def test_a_wait_within_its_timeout_is_served(clock: FakeClock) -> None:
    limiter = TokenBucketLimiter(2, 3, name="auto", clock=FakeClock(auto_advance=True))
    drain(limiter)
    assert limiter.acquire(wait=True, timeout=0.5)


def test_threads_wait_in_line_too(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    done: list[str] = []
    first = wait_in_thread(limiter, done, "first")
    clock.wait_for_sleepers(1)
    second = wait_in_thread(limiter, done, "second")
    clock.wait_for_sleepers(2)
    clock.advance(0.5)
    first.join(10)
    assert done == ["first"]
    clock.advance(0.5)
    second.join(10)
    assert done == ["first", "second"]


async def test_threads_and_tasks_stand_in_one_line(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    done: list[str] = []
    thread = wait_in_thread(limiter, done, "thread")
    await asyncio.to_thread(clock.wait_for_sleepers, 1)
    task = asyncio.create_task(limiter.acquire_async(wait=True))
    await until_waiting(limiter, 2)
    clock.advance(0.5)
    await asyncio.to_thread(thread.join, 10)
    assert (done, task.done()) == (["thread"], False)
    clock.advance(0.5)
    assert (await task).allowed


async def test_a_cancelled_wait_takes_no_permit(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    task = asyncio.create_task(limiter.acquire_async(2, wait=True))
    await until_waiting(limiter, 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    clock.advance(0.5)
    assert limiter.acquire()
    assert limiter.stats().cancelled == 1


async def test_those_behind_a_cancelled_wait_move_up(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    tasks = []
    for number, tokens in enumerate((3, 1, 1)):
        tasks.append(asyncio.create_task(limiter.acquire_async(tokens, wait=True)))
        await until_waiting(limiter, number + 1)
    tasks[0].cancel()
    await until_waiting(limiter, 2)
    for served in (2, 3):
        await until_waiting(limiter, 4 - served)
        clock.advance(0.5)
        await until_done(tasks, served)


async def test_a_wait_cancelled_after_it_was_served_gives_its_permit_back(
    limiter: TokenBucketLimiter, clock: FakeClock
) -> None:
    drain(limiter)
    task = asyncio.create_task(limiter.acquire_async(wait=True))
    await until_waiting(limiter, 1)
    clock.advance(0.5)
    # Somebody else comes by and serves the line; the task has its permit now but has not run yet.
    assert not limiter.acquire()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert limiter.acquire()
    assert not limiter.acquire()


async def test_a_permit_given_back_late_does_not_overfill_the_bucket(
    limiter: TokenBucketLimiter, clock: FakeClock
) -> None:
    drain(limiter)
    task = asyncio.create_task(limiter.acquire_async(wait=True))
    await until_waiting(limiter, 1)
    clock.advance(0.5)
    limiter.acquire()
    clock.advance(60)
    assert limiter.acquire()  # the bucket was full, so the served permit has been earned again already
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [limiter.acquire().allowed for _ in range(3)] == [True, True, False]


async def test_a_wait_that_is_collected_while_the_lock_is_held_neither_hangs_nor_keeps_its_permit(
    limiter: TokenBucketLimiter, clock: FakeClock
) -> None:
    drain(limiter)
    abandoned = limiter.acquire_async(3, wait=True)
    abandoned.send(None)
    await until_waiting(limiter, 1)
    with limiter._lock:
        # What a garbage collection in the middle of a decision does to a coroutine that nobody holds.
        abandoned.close()
    clock.advance(0.5)
    assert limiter.acquire()
    assert limiter.stats().cancelled == 1


class NeverWaking(FakeClock):
    """A clock on which tasks sleep for ever."""

    async def sleep_async(self, seconds: float) -> None:
        await asyncio.Event().wait()


def test_a_wait_whose_loop_died_holds_up_nobody() -> None:
    clock = NeverWaking()
    limiter = TokenBucketLimiter(2, 3, name="unit", clock=clock)
    drain(limiter)
    loop = asyncio.new_event_loop()
    dead = loop.create_task(limiter.acquire_async(wait=True))
    while not limiter.stats().waiting:
        loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    clock.advance(0.5)
    assert limiter.acquire()
    assert not dead.done()


async def test_a_blocking_wait_in_an_event_loop_is_refused(limiter: TokenBucketLimiter) -> None:
    with pytest.raises(BlockingWaitError, match="acquire_async"):
        limiter.acquire(wait=True)


async def test_a_wait_does_not_block_the_loop(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    waiting = asyncio.create_task(limiter.acquire_async(wait=True))
    ran = await asyncio.gather(*(asyncio.sleep(0, number) for number in range(10)))
    assert (ran, waiting.done()) == (list(range(10)), False)
    clock.advance(0.5)
    await waiting


# --- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), 1e300, True, "3", None])
def test_a_rate_out_of_range_is_refused(rate: Any) -> None:
    with pytest.raises(ConfigurationError, match="limiter 'bad': rate is"):
        TokenBucketLimiter(rate, 1, name="bad")


@pytest.mark.parametrize("burst", [0, -1, 1.5, float("nan"), True, "3", None, 10**12])
def test_a_burst_out_of_range_is_refused(burst: Any) -> None:
    with pytest.raises(ConfigurationError, match="limiter 'bad': burst is"):
        TokenBucketLimiter(1, burst, name="bad")


@pytest.mark.parametrize("tokens", [0, -1, 4, 1.0, True, "1"])
def test_tokens_that_can_never_be_given_are_an_error_at_once(limiter: TokenBucketLimiter, tokens: Any) -> None:
    with pytest.raises(ConfigurationError, match="from 1 to its burst of 3"):
        limiter.acquire(tokens, wait=True)


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_timeout_out_of_range_is_refused(limiter: TokenBucketLimiter, timeout: float) -> None:
    with pytest.raises(ConfigurationError, match="timeout is"):
        limiter.acquire(wait=True, timeout=timeout)


def test_a_timeout_without_a_wait_is_refused(limiter: TokenBucketLimiter) -> None:
    with pytest.raises(ConfigurationError, match="wait=True"):
        limiter.acquire(timeout=1)


# --- decorator -----------------------------------------------------------------------------------------------------


def test_a_decorated_function_runs_only_with_a_permit(limiter: TokenBucketLimiter) -> None:
    calls: list[int] = []

    @limiter
    def call(number: int) -> int:
        calls.append(number)
        return number

    assert [call(1), call(2), call(3)] == [1, 2, 3]
    with pytest.raises(RateLimitExceededError, match=r"'unit' has no permit; retry in 0.5 s") as caught:
        call(4)
    assert (calls, caught.value.status.retry_after) == ([1, 2, 3], 0.5)
    assert isinstance(caught.value, TimeoutError)


async def test_a_decorated_coroutine_function_runs_only_with_a_permit(limiter: TokenBucketLimiter) -> None:
    @limiter
    async def call() -> str:
        return "ran"

    assert [await call() for _ in range(3)] == ["ran"] * 3
    with pytest.raises(RateLimitExceededError):
        await call()


@pytest.mark.parametrize(
    ("permits", "raises", "outcome", "status"),
    [(1, None, "success", "unset"), (1, KeyError, "failure", "error"), (0, None, "rejected", "error")],
)
def test_a_decorated_call_is_one_span_with_its_outcome(
    clock: FakeClock, signals: Signals, permits: int, raises: type[Exception] | None, outcome: str, status: str
) -> None:
    limiter = TokenBucketLimiter(1, 1, name="spanned", clock=clock)
    if not permits:
        limiter.acquire()

    @limiter
    def call() -> None:
        if raises is not None:
            raise raises

    with contextlib.suppress(KeyError, RateLimitExceededError):
        call()
    (span,) = signals.spans()
    assert (span.name, span.status, span.attributes[semconv.OUTCOME.key]) == ("guard spanned", status, outcome)


def test_the_error_survives_pickling(limiter: TokenBucketLimiter) -> None:
    error = RateLimitExceededError("unit", limiter.acquire(3))
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.name, copy.status) == (str(error), "unit", error.status)


# --- signals -------------------------------------------------------------------------------------------------------


def test_each_request_counts_once_by_its_result(limiter: TokenBucketLimiter, signals: Signals) -> None:
    drain(limiter)
    limiter.acquire(wait=True, timeout=0.1)
    common = {POLICY: "unit", STRATEGY: "token_bucket"}
    results = {
        result: signals.increase(REQUESTS, {**common, RESULT: result}) for result in semconv.LIMITER_RESULT.values
    }
    assert results == {"acquired": 3, "rejected": 1, "timed_out": 1}


def test_a_rejection_is_an_event_in_the_trace_that_caused_it(limiter: TokenBucketLimiter, signals: Signals) -> None:
    limiter.acquire(2)
    with trace.get_tracer("test").start_as_current_span("caller"):
        limiter.acquire(2)
    (span,) = signals.spans("caller")
    (event,) = signals.events(REJECTED_EVENT)
    assert (event.trace_id, event.span_id) == (span.trace_id, span.span_id)
    assert dict(event.attributes) == {
        POLICY: "unit",
        STRATEGY: "token_bucket",
        RESULT: "rejected",
        semconv.LIMITER_RETRY_AFTER.key: 0.5,
        semconv.LIMITER_LIMIT.key: 3,
        semconv.LIMITER_COST.key: 2,
    }
    assert span.attributes[RESULT] == "rejected"


async def test_a_wait_is_a_child_span_and_a_histogram_value(
    limiter: TokenBucketLimiter, clock: FakeClock, signals: Signals
) -> None:
    drain(limiter)
    metric = semconv.LIMITER_TIME_IN_QUEUE_METRIC.name
    before = sum(point.sum for point in signals.points(metric) if point.attributes[POLICY] == "unit")
    with trace.get_tracer("test").start_as_current_span("caller"):
        task = asyncio.create_task(limiter.acquire_async(wait=True))
        await until_waiting(limiter, 1)
        clock.advance(0.5)
        await task
    (parent,) = signals.spans("caller")
    (wait,) = signals.spans("wait unit")
    assert (wait.parent_id, wait.kind, wait.status) == (parent.span_id, "internal", "unset")
    assert dict(wait.attributes) == {POLICY: "unit", STRATEGY: "token_bucket", RESULT: "acquired"}
    assert signals.increase(metric, {POLICY: "unit", RESULT: "acquired"}) == 1
    after = sum(point.sum for point in signals.points(metric) if point.attributes[POLICY] == "unit")
    assert after - before == pytest.approx(0.5)


async def test_the_line_and_the_permits_left_are_metrics(clock: FakeClock, signals: Signals) -> None:
    limiter = TokenBucketLimiter(2, 3, name="gauges", clock=clock)
    where = {POLICY: "gauges"}
    assert signals.value(semconv.LIMITER_AVAILABLE_METRIC.name, where) == 3
    drain(limiter)
    task = asyncio.create_task(limiter.acquire_async(wait=True))
    await until_waiting(limiter, 1)
    assert signals.value(semconv.LIMITER_AVAILABLE_METRIC.name, where) == 0
    assert signals.value(semconv.LIMITER_QUEUED_METRIC.name, where) == 1
    clock.advance(0.5)
    await task
    assert signals.value(semconv.LIMITER_QUEUED_METRIC.name, where) == 0


def test_a_key_appears_in_no_signal(limiter: TokenBucketLimiter, signals: Signals) -> None:
    with trace.get_tracer("test").start_as_current_span("caller"):
        drain(limiter, key="anna@example.org")
        limiter.acquire(key="anna@example.org", wait=True, timeout=0)
    everything = f"{signals.spans()} {signals.events()} {signals.points()} {limiter!r} {limiter.stats()}"
    assert "anna" not in everything


def test_what_a_collected_limiter_counted_stays(clock: FakeClock, signals: Signals) -> None:
    limiter = TokenBucketLimiter(1, 5, name="gone", clock=clock)
    for _ in range(4):
        limiter.acquire()
    reference = weakref.ref(limiter)
    del limiter
    gc.collect()
    assert reference() is None
    assert signals.increase(REQUESTS, {POLICY: "gone", RESULT: "acquired"}) == 4


# --- fork ----------------------------------------------------------------------------------------------------------


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


# --- manager -------------------------------------------------------------------------------------------------------


def test_a_configured_limiter_is_found_by_its_name(clock: FakeClock) -> None:
    manager = RateLimitManager(clock=clock)
    made = manager.configure("twitter_api", 0.5, 5)
    assert manager.get_limiter("twitter_api") is made
    assert manager.configure("twitter_api", 0.5, 5) is made
    assert manager.all() == {"twitter_api": made}


def test_a_name_cannot_stand_for_other_numbers() -> None:
    manager = RateLimitManager()
    manager.configure("api", 1, 5)
    with pytest.raises(ConfigurationError, match=r"rate 1 and burst 5.*rate 2 and burst 5"):
        manager.configure("api", 2, 5)


def test_an_unknown_name_is_answered_with_those_that_come_close() -> None:
    manager = RateLimitManager()
    with pytest.raises(ConfigurationError, match="none is configured yet"):
        manager.get_limiter("twitter_api")
    manager.configure("twitter_api", 1, 5)
    with pytest.raises(ConfigurationError, match="no rate limiter is named 'twiter_api': did you mean 'twitter_api'"):
        manager.get_limiter("twiter_api")


def test_the_manager_tells_what_every_limiter_did(clock: FakeClock) -> None:
    manager = RateLimitManager(clock=clock)
    drain(manager.configure("a", 1, 2))
    stats = manager.stats()["a"]
    assert (stats.acquired, stats.rejected) == (2, 1)
    assert stats.block_rate == pytest.approx(1 / 3)
    manager.reset()
    assert manager.all() == {}
