"""How the registry's names arrive in Prometheus 3 over OTLP, so that no dashboard spells one out.

The rules are those of Prometheus's default OTLP translation strategy, `UnderscoreEscapingWithSuffixes`:
https://prometheus.io/docs/guides/opentelemetry/
"""

from __future__ import annotations

import re
from typing import Final

from spanguard.semconv import Attribute, Metric, MetricKind

_UNIT_WORDS: Final = {"s": "seconds", "ms": "milliseconds", "By": "bytes"}


def label(attribute: Attribute) -> str:
    """Return the label that an attribute becomes: `spanguard.policy.name` -> `spanguard_policy_name`."""
    return _escape(attribute.key)


def series(metric: Metric) -> str:
    """Return the series of a metric: `spanguard.circuit_breaker.calls` -> `spanguard_circuit_breaker_calls_total`.

    Units in braces are annotations and vanish; a gauge of unit 1 is a ratio; a histogram is asked for its buckets.
    """
    name = _escape(metric.name)
    word = _UNIT_WORDS.get(metric.unit, "")
    if metric.unit == "1" and metric.kind is MetricKind.GAUGE:
        word = "ratio"
    if word and not name.endswith(f"_{word}"):
        name = f"{name}_{word}"
    if metric.kind is MetricKind.COUNTER:
        return f"{name}_total"
    return f"{name}_bucket" if metric.kind is MetricKind.HISTOGRAM else name


def _escape(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]+", "_", name)
