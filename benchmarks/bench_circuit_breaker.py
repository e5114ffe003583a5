"""The breaker against pybreaker, aiobreaker and a bare span; pybreaker under the plugin against pybreaker alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import aiobreaker
import pybreaker
from common import Figure, Timer, timing, timing_async
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from spanguard.error_handling import CircuitBreaker
from spanguard.instrumentation.pybreaker import BreakerSignals, PybreakerInstrumentor

THREADS = 8
PAUSE = 0.02


def nothing() -> None:
    """What is guarded."""


async def nothing_async() -> None:
    """What is guarded."""


def ours() -> Timer:
    call = CircuitBreaker(name="bench").call
    return timing(lambda: call(nothing))


def theirs() -> Timer:
    call = pybreaker.CircuitBreaker(name="bench").call
    return timing(lambda: call(nothing))


def theirs_instrumented() -> Timer:
    PybreakerInstrumentor().instrument()
    return theirs()


def ours_async() -> Timer:
    call = CircuitBreaker(name="bench").call_async
    return timing_async(lambda: call(nothing_async))


def aiobreaker_async() -> Timer:
    call = aiobreaker.CircuitBreaker(timeout_duration=timedelta(seconds=60)).call_async
    return timing_async(lambda: call(nothing_async))


def ours_recording() -> Timer:
    trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
    return ours()


def bare_span() -> Timer:
    trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
    tracer = trace.get_tracer("bench")

    def call() -> None:
        span = tracer.start_span("guard bench")
        nothing()
        span.end()

    return timing(call)


def span_by_hand() -> Timer:
    trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
    tracer = trace.get_tracer("bench")
    attributes = BreakerSignals("bench", nothing, lambda _: "closed").span_attributes

    def call() -> None:
        with tracer.start_as_current_span("guard bench", attributes=attributes):
            nothing()

    return timing(call)


def side_by_side(call: Callable[[], Any]) -> Timer:
    """Time rounds in which every thread makes its calls at the same time."""

    def run(loops: int) -> float:
        def work() -> None:
            for _ in range(loops):
                call()

        threads = [threading.Thread(target=work) for _ in range(THREADS)]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - start

    return run


def pause() -> None:
    time.sleep(PAUSE)


def unguarded_threads() -> Timer:
    return side_by_side(pause)


def guarded_threads() -> Timer:
    breaker = CircuitBreaker(name="bench")
    return side_by_side(lambda: breaker.call(pause))


FIGURES = [
    Figure("breaker", "breaker call, closed, counts on, nothing recording", 0.5, ours, theirs, "pybreaker.call"),
    Figure(
        "breaker-recording",
        "the same, a recording tracer",
        1.15,
        ours_recording,
        bare_span,
        "start_span + end + call",
    ),
    Figure(
        "breaker-recording-current",
        "the same, against a current span with the same attributes",
        1.15,
        ours_recording,
        span_by_hand,
        "with start_as_current_span(attributes): call",
    ),
    Figure(
        "breaker-threads",
        "8 threads x 20 ms through one breaker, throughput",
        0.97,
        guarded_threads,
        unguarded_threads,
        "the same without a breaker",
        at_least=True,
    ),
    Figure("breaker-async", "async breaker call", 0.8, ours_async, aiobreaker_async, "aiobreaker"),
    Figure(
        "pybreaker-plugin",
        "pybreaker under our plugin, nothing recording",
        1.25,
        theirs_instrumented,
        theirs,
        "pybreaker.call",
    ),
]
