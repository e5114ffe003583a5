"""PromQL for the signals of the registry and of the collector, for the chosen service and policies."""

from __future__ import annotations

from typing import Final

from grafana.prometheus_names import label, series
from spanguard import semconv

POLICY: Final = label(semconv.POLICY_NAME)
STATE: Final = label(semconv.BREAKER_STATE)
OUTCOME: Final = label(semconv.BREAKER_OUTCOME)
RESULT: Final = label(semconv.LIMITER_RESULT)
ERROR: Final = label(semconv.ERROR_TYPE)

# Prometheus keeps OpenTelemetry's `service.name` under this label, because prometheus.yml promotes it.
SERVICE: Final = 'service_name="$service"'
POLICIES: Final = f'{POLICY}=~"$policy"'
REFUSED: Final = f'{RESULT}=~"rejected|timed_out"'

# A service has breakers, limiters or both.
ANY_GUARD: Final = f'__name__=~"{series(semconv.BREAKER_STATUS_METRIC)}|{series(semconv.LIMITER_REQUESTS_METRIC)}"'

# The collector's `span_metrics` connector, under its default namespace.
GUARD_SPANS: Final = (
    f'traces_span_metrics_duration_seconds_bucket{{{SERVICE}, {POLICIES}, span_name=~"{semconv.GUARD_SPAN.name} .+"}}'
)

# The collector's own metrics: what it calls an item of each signal.
ITEMS: Final = {"A": "spans", "B": "metric_points", "C": "log_records"}


def of_guards(metric: semconv.Metric, *matchers: str) -> str:
    """Return the PromQL selector of a metric for the chosen service and policies, narrowed by further matchers."""
    return f"{series(metric)}{{{', '.join((SERVICE, POLICIES, *matchers))}}}"


def rate(selector: str) -> str:
    """Return the PromQL for the growth of a counter a second."""
    return f"rate({selector}[$__rate_interval])"


def share(metric: semconv.Metric, part: str, *whole: str, by: str = "") -> str:
    """Return the PromQL for the share of `part` in `whole`, both label matchers; 0 where `part` was never counted."""
    group = f" by ({by}) " if by else ""
    numerator = f"sum{group}({rate(of_guards(metric, part))})"
    denominator = f"sum{group}({rate(of_guards(metric, *whole))})"
    return f"({numerator} or 0 * {denominator}) / {denominator}"


def added(selector: str) -> str:
    """Return the PromQL for what was added in the interval, with the first count of a new series.

    A Prometheus that does not ingest start times has an `increase` that is blind to a counter's birth at 1: it would hide
    the only transition of an hour. A plain difference is right because a restart or a fork starts new series, under its
    own `service_instance_id`.
    """
    return f"{selector} - ({selector} offset $__rate_interval or 0 * {selector})"


def per_exporter(counter: str) -> str:
    """Return the PromQL for one of the collector's own counters, a second, by exporter."""
    return f"sum by (exporter) ({rate(f'otelcol_exporter_{counter}_total')})"


def failed(items: str) -> str:
    """Return the PromQL for what the collector could not send or queue, a second, by exporter; 0 where all is well."""
    # The collector reports a failure's counter only once it has counted something.
    none = f"0 * {per_exporter(f'sent_{items}')}"
    parts = (f"({per_exporter(f'{what}_failed_{items}')} or {none})" for what in ("send", "enqueue"))
    return " + ".join(parts)
