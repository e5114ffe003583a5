"""A whole guard against the libraries that one would stack for the same, with their signals written by hand.

The peer counts its calls with three counters that count: without an SDK they would do nothing, while spanguard counts all
the same. So both run under a meter provider; spans record in neither.
"""

from __future__ import annotations

import limits
import pybreaker
import tenacity
from common import Figure, Timer, timing
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from spanguard.error_handling import Bulkhead, CircuitBreaker, RetryConfig
from spanguard.guard import Guard
from spanguard.rate_limiter import TokenBucketLimiter

PERMITS = 1_000_000
"""A second: more than any of the two can ask for, so that nothing is refused."""


def nothing() -> None:
    """What is guarded."""


def guard() -> Guard:
    count_for_real()
    return Guard(
        "bench",
        rate_limiter=TokenBucketLimiter(PERMITS, PERMITS, name="bench"),
        bulkhead=Bulkhead(10, queue=100, name="bench"),
        retry=RetryConfig(),  # with the budget that it has by default
        circuit_breaker=CircuitBreaker(name="bench"),
        timeout=5.0,
    )


def ours() -> Timer:
    return timing(guard()(nothing))


def stacked() -> Timer:
    count_for_real()
    limiter, item = FixedWindowRateLimiter(MemoryStorage()), limits.RateLimitItemPerSecond(PERMITS)
    breaker = pybreaker.CircuitBreaker()
    retried = tenacity.retry(lambda: breaker.call(nothing))
    tracer, meter = trace.get_tracer("bench"), metrics.get_meter("bench")
    admitted, attempts, calls = (meter.create_counter(name) for name in ("admitted", "attempts", "calls"))
    attributes = {"policy": "bench", "outcome": "success"}

    def call() -> None:
        with tracer.start_as_current_span("call"):
            assert limiter.hit(item, "bench")
            admitted.add(1, attributes)
            retried()
            attempts.add(1, attributes)
            calls.add(1, attributes)

    return timing(call)


def count_for_real() -> None:
    metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()]))


FIGURES = [
    Figure(
        "guard",
        "whole guard (limiter, bulkhead, retry with budget, breaker, timeout), nothing recording",
        0.12,
        ours,
        stacked,
        "limits + tenacity + pybreaker + 3 counters + span",
    ),
]
