"""The limiter against limits' cheapest strategy, and limits under the plugin against limits alone."""

from __future__ import annotations

from typing import Any

import limits.aio.strategies
from common import Figure, Timer, timing, timing_async
from limits import parse
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import FixedWindowRateLimiter

from spanguard.instrumentation.limits import LimitsInstrumentor
from spanguard.rate_limiter import TokenBucketLimiter

PLENTY = parse("1000000000 per hour")


def fixed_window() -> Timer:
    limiter = FixedWindowRateLimiter(MemoryStorage())
    return timing(lambda: limiter.hit(PLENTY, "key"))


def fixed_window_async() -> Timer:
    storage: Any = storage_from_string("async+memory://")
    limiter = limits.aio.strategies.FixedWindowRateLimiter(storage)
    return timing_async(lambda: limiter.hit(PLENTY, "key"))


def token_bucket() -> Timer:
    limiter = TokenBucketLimiter(1e9, 1_000_000_000, name="bench")
    return timing(lambda: limiter.acquire(key="key"))


def fixed_window_instrumented() -> Timer:
    LimitsInstrumentor().instrument()
    return fixed_window()


def fixed_window_async_instrumented() -> Timer:
    LimitsInstrumentor().instrument()
    return fixed_window_async()


FIGURES = [
    Figure(
        "token-bucket",
        "token bucket decision with retry_after, memory",
        0.5,
        token_bucket,
        fixed_window,
        "limits fixed-window hit",
    ),
    Figure(
        "limits-plugin",
        "limits under our plugin, nothing recording",
        1.25,
        fixed_window_instrumented,
        fixed_window,
        "limits fixed-window hit",
    ),
    Figure(
        "limits-plugin-async",
        "limits aio under our plugin, nothing recording",
        1.25,
        fixed_window_async_instrumented,
        fixed_window_async,
        "limits aio fixed-window hit",
    ),
]
