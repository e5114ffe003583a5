"""The signals of a fallback."""

from __future__ import annotations

from typing import Final

from spanguard.semconv.common import ERROR_TYPE, POLICY_NAME
from spanguard.semconv.model import Attribute, Event, Metric, MetricKind

DEGRADATION_SOURCE: Final = Attribute(
    "spanguard.degradation.source",
    "string",
    "Where the answer came from: `primary` is the call itself; `value`, `function` and `stale` are degraded; `none` means that nobody had one.",
    values=("primary", "value", "function", "stale", "none"),
)
DEGRADATION_AGE: Final = Attribute("spanguard.degradation.age", "double", "How old a stale answer is.", unit="s")

DEGRADATION_ANSWERS_METRIC: Final = Metric(
    "spanguard.degradation.answers",
    MetricKind.COUNTER,
    "{answer}",
    "Calls under a fallback, by where their answer came from. Each call counts once.",
    (POLICY_NAME, DEGRADATION_SOURCE),
    (ERROR_TYPE,),
)
DEGRADATION_EVENT: Final = Event(
    "spanguard.degradation.answer",
    "A call failed, and was answered otherwise or not at all. The answer itself is never part of it.",
    (POLICY_NAME, DEGRADATION_SOURCE, ERROR_TYPE),
    (DEGRADATION_AGE,),
)
