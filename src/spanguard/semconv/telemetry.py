"""The signals of spanguard itself."""

from __future__ import annotations

from typing import Final

from spanguard.semconv.common import COMPONENT, ERROR_TYPE
from spanguard.semconv.model import Metric, MetricKind

TELEMETRY_ERRORS_METRIC: Final = Metric(
    "spanguard.telemetry.errors",
    MetricKind.COUNTER,
    "{error}",
    "Failures inside spanguard, or in a listener or sink it called, that were kept away from the guarded call.",
    (COMPONENT, ERROR_TYPE),
)
