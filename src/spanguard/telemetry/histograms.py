"""The few synchronous histograms, for durations of what is rare or slow anyway; they carry exemplars."""

from __future__ import annotations

import os
import threading
from functools import cache

from opentelemetry import metrics
from opentelemetry.metrics import Histogram

from spanguard import semconv
from spanguard._version import __version__
from spanguard.telemetry.counts import AttributeValues
from spanguard.telemetry.internal import safely

_lock = threading.RLock()
"""Held while the SDK records, under locks of its own that it does not mend in a forked child: so a fork waits for that.

Re-entrant: a garbage collection in between may end a call that records too.
"""


def record(metric: semconv.Metric, value: float, attributes: AttributeValues) -> None:
    """Record a value, in the metric's unit, with the current trace as exemplar. Never raises."""
    with safely("histograms"), _lock:
        _histogram(metric).record(value, attributes)


@cache
def _histogram(metric: semconv.Metric) -> Histogram:
    # The proxy meter, so that a provider set later takes over; the SDK's default buckets are in milliseconds.
    meter = metrics.get_meter(semconv.SCHEMA_SCOPE, __version__)
    return meter.create_histogram(
        metric.name, metric.unit, metric.meaning, explicit_bucket_boundaries_advisory=list(metric.buckets)
    )


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - the one of the parent is held, by this thread
    _lock = threading.RLock()


def _after_fork_in_parent() -> None:
    _lock.release()


def _before_fork() -> None:
    _lock.acquire()


# What is registered first is asked last: a room that waits for its own threads lets them record until then.
os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
