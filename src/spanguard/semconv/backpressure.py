"""The signals of a bounded queue under backpressure."""

from __future__ import annotations

from typing import Final, Literal, get_args

from spanguard.semconv.common import POLICY_NAME
from spanguard.semconv.model import Attribute, Event, Metric, MetricKind

PutOutcome = Literal["accepted", "rejected", "timed_out", "shed", "cancelled", "closed"]
ShedReason = Literal["oldest", "newest", "priority", "sojourn"]
PressureState = Literal["on", "off"]
PressureReason = Literal["high_watermark", "sojourn", "relieved", "drained"]

BACKPRESSURE_OUTCOME: Final = Attribute(
    "spanguard.backpressure.outcome",
    "string",
    "What the queue made of an item: `rejected` found it full, `timed_out` waited for a place in vain, `shed` was dropped on arrival, `cancelled` went away while it waited, `closed` came when it takes nothing more.",
    values=get_args(PutOutcome),
)
BACKPRESSURE_SHED_REASON: Final = Attribute(
    "spanguard.backpressure.shed.reason",
    "string",
    "Why the item was dropped: it was the `oldest` or the `newest` of a full queue, lowest in `priority`, or too long in it (`sojourn`).",
    values=get_args(ShedReason),
)
BACKPRESSURE_STATE: Final = Attribute(
    "spanguard.backpressure.state",
    "string",
    "Whether the queue is under pressure from now on.",
    values=get_args(PressureState),
)
BACKPRESSURE_REASON: Final = Attribute(
    "spanguard.backpressure.reason",
    "string",
    "Why: the depth reached the `high_watermark`, or items stay too long (`sojourn`); it fell to the low watermark (`relieved`), or the queue was emptied for good (`drained`).",
    values=get_args(PressureReason),
)
BACKPRESSURE_DEPTH: Final = Attribute(
    "spanguard.backpressure.depth", "int", "Items in the queue at that moment.", unit="{item}"
)
BACKPRESSURE_LIMIT: Final = Attribute(
    "spanguard.backpressure.limit", "int", "Items that the queue can hold.", unit="{item}"
)
BACKPRESSURE_AGE: Final = Attribute(
    "spanguard.backpressure.oldest_age", "double", "How long the oldest item had been in the queue.", unit="s"
)
BACKPRESSURE_DURATION: Final = Attribute(
    "spanguard.backpressure.duration", "double", "How long the pressure that ended had lasted.", unit="s"
)
BACKPRESSURE_SHED: Final = Attribute(
    "spanguard.backpressure.shed.count", "int", "Items that were dropped meanwhile.", unit="{item}"
)

BACKPRESSURE_PUTS_METRIC: Final = Metric(
    "spanguard.backpressure.puts",
    MetricKind.COUNTER,
    "{item}",
    "Items that were offered to the queue, by what it made of them. Each item counts once.",
    (POLICY_NAME, BACKPRESSURE_OUTCOME),
)
BACKPRESSURE_GETS_METRIC: Final = Metric(
    "spanguard.backpressure.gets", MetricKind.COUNTER, "{item}", "Items that a consumer took.", (POLICY_NAME,)
)
BACKPRESSURE_SHED_METRIC: Final = Metric(
    "spanguard.backpressure.shed",
    MetricKind.COUNTER,
    "{item}",
    "Items that were dropped, on arrival or out of the queue, so that others can be served.",
    (POLICY_NAME, BACKPRESSURE_SHED_REASON),
)
BACKPRESSURE_DEPTH_METRIC: Final = Metric(
    "spanguard.backpressure.depth",
    MetricKind.UPDOWNCOUNTER,
    "{item}",
    "Items in the queue now; queues that share a name add up.",
    (POLICY_NAME,),
)
BACKPRESSURE_LIMIT_METRIC: Final = Metric(
    "spanguard.backpressure.limit", MetricKind.UPDOWNCOUNTER, "{item}", "Items that the queue can hold.", (POLICY_NAME,)
)
BACKPRESSURE_STATUS_METRIC: Final = Metric(
    "spanguard.backpressure.status",
    MetricKind.UPDOWNCOUNTER,
    "{queue}",
    "1 while the queue is under pressure, else 0; queues that share a name add up.",
    (POLICY_NAME,),
)
BACKPRESSURE_OLDEST_METRIC: Final = Metric(
    "spanguard.backpressure.oldest_age",
    MetricKind.GAUGE,
    "s",
    "How long the oldest item has been in the queue; queues that share a name: the least.",
    (POLICY_NAME,),
)
BACKPRESSURE_EVENT: Final = Event(
    "spanguard.backpressure.state_change",
    "A queue came under pressure, or was relieved of it.",
    (
        POLICY_NAME,
        BACKPRESSURE_STATE,
        BACKPRESSURE_REASON,
        BACKPRESSURE_DEPTH,
        BACKPRESSURE_LIMIT,
        BACKPRESSURE_AGE,
    ),
    (BACKPRESSURE_DURATION, BACKPRESSURE_SHED),
)
