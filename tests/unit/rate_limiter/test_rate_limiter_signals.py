"""What a limiter tells: counts, events, spans, and never a key."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from opentelemetry import trace

from spanguard import semconv
from spanguard.rate_limiter import TokenBucketLimiter
from spanguard.testing import FakeClock, Signals
from unit.rate_limiter.callers import drain, until_waiting

REQUESTS = semconv.LIMITER_REQUESTS_METRIC.name
REJECTED_EVENT = semconv.LIMITER_REJECTED_EVENT.name
POLICY = semconv.POLICY_NAME.key
RESULT = semconv.LIMITER_RESULT.key
STRATEGY = semconv.LIMITER_STRATEGY.key


def test_each_request_counts_once_by_its_result(limiter: TokenBucketLimiter, signals: Signals) -> None:
    drain(limiter)
    limiter.acquire(wait=True, timeout=0.1)
    common = {POLICY: "unit", STRATEGY: "token_bucket"}
    results = {
        result: signals.increase(REQUESTS, {**common, RESULT: result}) for result in semconv.LIMITER_RESULT.values
    }
    assert results == {"acquired": 3, "rejected": 1, "timed_out": 1, "fallback": 0}


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
        semconv.LIMITER_REASON.key: "no_permit",
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
