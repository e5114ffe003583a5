"""The signals of an adaptive concurrency limit."""

from __future__ import annotations

from typing import Final, Literal, get_args

from spanguard.semconv.common import POLICY_NAME, QUEUE_BUCKETS
from spanguard.semconv.model import Attribute, Event, Metric, MetricKind

AdaptiveOutcome = Literal["admitted", "rejected", "timed_out", "cancelled"]
SampleKind = Literal["measured", "dropped", "ignored"]
AdaptiveReason = Literal["headroom", "latency", "drop", "probe"]

ADAPTIVE_OUTCOME: Final = Attribute(
    "spanguard.adaptive_limit.outcome",
    "string",
    "What the limiter made of the call: `rejected` found the limit reached and no place in the queue, `timed_out` waited in vain, `cancelled` went away while it waited.",
    values=get_args(AdaptiveOutcome),
)
ADAPTIVE_SAMPLE: Final = Attribute(
    "spanguard.adaptive_limit.sample",
    "string",
    "What the limiter learned from the call: its latency was `measured`, it was `dropped` by what was called, or it says nothing (`ignored`).",
    values=get_args(SampleKind),
)
ADAPTIVE_REASON: Final = Attribute(
    "spanguard.adaptive_limit.reason",
    "string",
    "Why the limit moved: nothing queues (`headroom`), calls take longer than they should (`latency`), one was dropped (`drop`), or the latency without a queue is to be measured anew (`probe`).",
    values=get_args(AdaptiveReason),
)
ADAPTIVE_FROM: Final = Attribute(
    "spanguard.adaptive_limit.from", "int", "The limit that was told before.", unit="{call}"
)
ADAPTIVE_TO: Final = Attribute("spanguard.adaptive_limit.to", "int", "The limit from now on.", unit="{call}")
ADAPTIVE_LATENCY: Final = Attribute(
    "spanguard.adaptive_limit.latency", "double", "The mean latency of the window that decided.", unit="s"
)
ADAPTIVE_BASELINE: Final = Attribute(
    "spanguard.adaptive_limit.baseline", "double", "The latency that it was held against.", unit="s"
)
ADAPTIVE_IN_FLIGHT: Final = Attribute(
    "spanguard.adaptive_limit.in_flight.count", "int", "The most calls that ran at once.", unit="{call}"
)
ADAPTIVE_LIMIT: Final = Attribute(
    "spanguard.adaptive_limit.limit", "int", "Calls that might run at once at that moment.", unit="{call}"
)
ADAPTIVE_QUEUED: Final = Attribute(
    "spanguard.adaptive_limit.queued.count", "int", "Calls that waited at that moment.", unit="{call}"
)
ADAPTIVE_WAITED: Final = Attribute(
    "spanguard.adaptive_limit.waited", "double", "How long the call had waited.", unit="s"
)
ADAPTIVE_KIND: Final = Attribute(
    "spanguard.adaptive_limit.latency.kind",
    "string",
    "Which latency: that of the last window, or what the next one is held against.",
    values=("window", "baseline"),
)

ADAPTIVE_CALLS_METRIC: Final = Metric(
    "spanguard.adaptive_limit.calls",
    MetricKind.COUNTER,
    "{call}",
    "Calls that reached the limiter, by what it made of them. Each call counts once.",
    (POLICY_NAME, ADAPTIVE_OUTCOME),
)
ADAPTIVE_SAMPLES_METRIC: Final = Metric(
    "spanguard.adaptive_limit.samples",
    MetricKind.COUNTER,
    "{call}",
    "Calls that ended, by what the limiter learned from them.",
    (POLICY_NAME, ADAPTIVE_SAMPLE),
)
ADAPTIVE_LIMIT_METRIC: Final = Metric(
    "spanguard.adaptive_limit.limit",
    MetricKind.UPDOWNCOUNTER,
    "{call}",
    "Calls that may run at once now; limiters that share a name add up.",
    (POLICY_NAME,),
)
ADAPTIVE_USAGE_METRIC: Final = Metric(
    "spanguard.adaptive_limit.usage", MetricKind.UPDOWNCOUNTER, "{call}", "Calls that run now.", (POLICY_NAME,)
)
ADAPTIVE_QUEUED_METRIC: Final = Metric(
    "spanguard.adaptive_limit.queued",
    MetricKind.UPDOWNCOUNTER,
    "{call}",
    "Calls that wait for a permit now.",
    (POLICY_NAME,),
)
ADAPTIVE_LATENCY_METRIC: Final = Metric(
    "spanguard.adaptive_limit.latency",
    MetricKind.GAUGE,
    "s",
    "The mean latency of the last window, and what the next one is held against; limiters that share a name: the least.",
    (POLICY_NAME, ADAPTIVE_KIND),
)
ADAPTIVE_TIME_IN_QUEUE_METRIC: Final = Metric(
    "spanguard.adaptive_limit.call.time_in_queue",
    MetricKind.HISTOGRAM,
    "s",
    "How long a call that had to wait stood in the queue, until it was admitted or told that it is not.",
    (POLICY_NAME, ADAPTIVE_OUTCOME),
    buckets=QUEUE_BUCKETS,
)
ADAPTIVE_CHANGE_EVENT: Final = Event(
    "spanguard.adaptive_limit.change",
    "The limit moved by a step or more since it was told last.",
    (POLICY_NAME, ADAPTIVE_REASON, ADAPTIVE_FROM, ADAPTIVE_TO, ADAPTIVE_IN_FLIGHT),
    (ADAPTIVE_LATENCY, ADAPTIVE_BASELINE),
)
ADAPTIVE_REJECTED_EVENT: Final = Event(
    "spanguard.adaptive_limit.rejected",
    "A call was turned away by an adaptive limiter, at once or after waiting.",
    (POLICY_NAME, ADAPTIVE_OUTCOME, ADAPTIVE_LIMIT, ADAPTIVE_QUEUED, ADAPTIVE_WAITED),
)
