"""The signals of a bulkhead."""

from __future__ import annotations

from typing import Final

from spanguard.semconv.common import POLICY_NAME, QUEUE_BUCKETS
from spanguard.semconv.model import Attribute, Event, Metric, MetricKind

BULKHEAD_OUTCOME: Final = Attribute(
    "spanguard.bulkhead.outcome",
    "string",
    "What the bulkhead made of the call: `rejected` found every permit taken and no place in the queue, `timed_out` waited in vain, `cancelled` went away while it waited.",
    values=("admitted", "rejected", "timed_out", "cancelled"),
)
BULKHEAD_PERMITS: Final = Attribute(
    "spanguard.bulkhead.permit.count", "int", "Calls that the bulkhead lets run at once.", unit="{call}"
)
BULKHEAD_QUEUED: Final = Attribute(
    "spanguard.bulkhead.queued.count", "int", "Calls that waited at that moment.", unit="{call}"
)
BULKHEAD_WAITED: Final = Attribute("spanguard.bulkhead.waited", "double", "How long the call had waited.", unit="s")

BULKHEAD_CALLS_METRIC: Final = Metric(
    "spanguard.bulkhead.calls",
    MetricKind.COUNTER,
    "{call}",
    "Calls that reached the bulkhead, by what it made of them. Each call counts once.",
    (POLICY_NAME, BULKHEAD_OUTCOME),
)
BULKHEAD_LIMIT_METRIC: Final = Metric(
    "spanguard.bulkhead.limit",
    MetricKind.UPDOWNCOUNTER,
    "{call}",
    "Calls that may run at once; bulkheads that share a name add up.",
    (POLICY_NAME,),
)
BULKHEAD_USAGE_METRIC: Final = Metric(
    "spanguard.bulkhead.usage", MetricKind.UPDOWNCOUNTER, "{call}", "Calls that run now.", (POLICY_NAME,)
)
BULKHEAD_QUEUED_METRIC: Final = Metric(
    "spanguard.bulkhead.queued", MetricKind.UPDOWNCOUNTER, "{call}", "Calls that wait for a permit now.", (POLICY_NAME,)
)
BULKHEAD_TIME_IN_QUEUE_METRIC: Final = Metric(
    "spanguard.bulkhead.call.time_in_queue",
    MetricKind.HISTOGRAM,
    "s",
    "How long a call that had to wait stood in the queue, until it was admitted or told that it is not.",
    (POLICY_NAME, BULKHEAD_OUTCOME),
    buckets=QUEUE_BUCKETS,
)
BULKHEAD_REJECTED_EVENT: Final = Event(
    "spanguard.bulkhead.rejected",
    "A call was turned away by a bulkhead, at once or after waiting.",
    (POLICY_NAME, BULKHEAD_OUTCOME, BULKHEAD_PERMITS, BULKHEAD_QUEUED, BULKHEAD_WAITED),
)
