"""How the registry's names arrive in Prometheus 3 over OTLP, so that no dashboard spells one out.

The rules are those of Prometheus's default OTLP translation strategy, `UnderscoreEscapingWithSuffixes`:
https://prometheus.io/docs/guides/opentelemetry/
"""

from __future__ import annotations

import re
from typing import Final

from spanguard.semconv import Attribute, Metric, MetricKind

# A gauge without a unit is a ratio.
_UNIT_WORDS: Final = {"s": "seconds", "1": "ratio"}


def label(attribute: Attribute) -> str:
    """Return the label that an attribute becomes: `spanguard.policy.name` -> `spanguard_policy_name`."""
    return _escape(attribute.key)


def series(metric: Metric) -> str:
    """Return the series of a metric: `spanguard.circuit_breaker.calls` -> `spanguard_circuit_breaker_calls_total`.

    A unit in braces is an annotation and vanishes; a histogram is asked for its buckets.

    Raises:
        KeyError: the unit's word is not known here yet; take it from Prometheus's documentation.
    """
    name = _escape(metric.name)
    if not metric.unit.startswith("{"):
        name = f"{name}_{_UNIT_WORDS[metric.unit]}"
    if metric.kind is MetricKind.COUNTER:
        return f"{name}_total"
    return f"{name}_bucket" if metric.kind is MetricKind.HISTOGRAM else name


def _escape(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]+", "_", name)
