"""The signals of a timeout."""

from __future__ import annotations

from typing import Final

from spanguard.semconv.common import POLICY_NAME
from spanguard.semconv.model import Attribute, Event, Metric, MetricKind

TIMEOUT_OUTCOME: Final = Attribute(
    "spanguard.timeout.outcome",
    "string",
    "What the timeout made of the call: `in_time` ended in time, whether well or not; `timed_out` was ended by it; `late` was not interrupted and came to an end by itself after its time; `not_begun` had no time left.",
    values=("in_time", "late", "timed_out", "not_begun"),
)
TIMEOUT_LIMIT: Final = Attribute("spanguard.timeout.limit", "double", "The time that the call was given.", unit="s")
TIMEOUT_ELAPSED: Final = Attribute("spanguard.timeout.elapsed", "double", "The time that the call took.", unit="s")

TIMEOUT_CALLS_METRIC: Final = Metric(
    "spanguard.timeout.calls",
    MetricKind.COUNTER,
    "{call}",
    "Calls under a timeout, by what it made of them. Each call counts once.",
    (POLICY_NAME, TIMEOUT_OUTCOME),
)
TIMEOUT_EXCEEDED_EVENT: Final = Event(
    "spanguard.timeout.exceeded",
    "A call did not end in its time: it was ended, or came to an end too late.",
    (POLICY_NAME, TIMEOUT_OUTCOME, TIMEOUT_LIMIT, TIMEOUT_ELAPSED),
)
