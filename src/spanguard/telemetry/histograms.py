"""The few synchronous histograms, for durations of what is rare or slow anyway; they carry exemplars."""

from __future__ import annotations

from functools import cache

from opentelemetry import metrics
from opentelemetry.metrics import Histogram

from spanguard import semconv
from spanguard._version import __version__
from spanguard.telemetry.counts import AttributeValues
from spanguard.telemetry.internal import safely


def record(metric: semconv.Metric, value: float, attributes: AttributeValues) -> None:
    """Record a value, in the metric's unit, with the current trace as exemplar. Never raises."""
    with safely("histograms"):
        _histogram(metric).record(value, attributes)


@cache
def _histogram(metric: semconv.Metric) -> Histogram:
    # The proxy meter, so that a provider set later takes over; the SDK's default buckets are in milliseconds.
    meter = metrics.get_meter(semconv.SCHEMA_SCOPE, __version__)
    return meter.create_histogram(
        metric.name, metric.unit, metric.meaning, explicit_bucket_boundaries_advisory=list(metric.buckets)
    )
