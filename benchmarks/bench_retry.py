"""The retry against tenacity where the first try succeeds; tenacity under the plugin against tenacity alone."""

from __future__ import annotations

import tenacity
from common import Figure, Timer, timing, timing_async

from spanguard.error_handling import with_retry
from spanguard.instrumentation.tenacity import TenacityInstrumentor


def nothing() -> None:
    """What is retried."""


async def nothing_async() -> None:
    """What is retried."""


def ours() -> Timer:
    return timing(with_retry(name="bench")(nothing))


def theirs() -> Timer:
    return timing(tenacity.retry(nothing))


def theirs_instrumented() -> Timer:
    TenacityInstrumentor().instrument()
    return theirs()


def ours_async() -> Timer:
    return timing_async(with_retry(name="bench")(nothing_async))


def theirs_async() -> Timer:
    return timing_async(tenacity.retry(nothing_async))


def theirs_async_instrumented() -> Timer:
    TenacityInstrumentor().instrument()
    return theirs_async()


FIGURES = [
    Figure("retry", "retry, the first try succeeds, nothing recording", 0.03, ours, theirs, "tenacity"),
    Figure(
        "retry-async",
        "awaited retry, the first try succeeds, nothing recording",
        0.05,
        ours_async,
        theirs_async,
        "tenacity",
    ),
    Figure(
        "tenacity-plugin",
        "tenacity under our plugin, nothing recording",
        1.1,
        theirs_instrumented,
        theirs,
        "tenacity",
    ),
    Figure(
        "tenacity-plugin-async",
        "tenacity async under our plugin, nothing recording",
        1.1,
        theirs_async_instrumented,
        theirs_async,
        "tenacity",
    ),
]
