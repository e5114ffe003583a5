"""The signals of a rate limiter."""

from __future__ import annotations

from typing import Final, Literal, get_args

from spanguard.semconv.common import ERROR_TYPE, POLICY_NAME, QUEUE_BUCKETS
from spanguard.semconv.model import Attribute, Event, Metric, MetricKind

LimiterStorageState = Literal["available", "degraded"]
LIMITER_STORAGE_STATES: Final[tuple[LimiterStorageState, ...]] = get_args(LimiterStorageState)

LIMITER_STRATEGY: Final = Attribute(
    "spanguard.rate_limiting.strategy",
    "string",
    "The algorithm that decided.",
    values=(
        "token_bucket",
        "leaky_bucket",
        "leaky_bucket_queue",
        "sliding_window_log",
        "sliding_window_estimate",
        "fixed_window",
        "moving_window",
        "sliding_window_counter",
        "other",
    ),
)
LIMITER_RESULT: Final = Attribute(
    "spanguard.rate_limiting.result",
    "string",
    "What became of the request: `timed_out` was ready to wait, but its turn would have come after its timeout; it is told so at once. `fallback` was admitted by the local share while the shared storage did not answer.",
    values=("acquired", "rejected", "timed_out", "fallback"),
)
LIMITER_REASON: Final = Attribute(
    "spanguard.rate_limiting.reason",
    "string",
    "Why a limiter of spanguard gave no permit: there was none, or it would have waited but there was no place in the line.",
    values=("no_permit", "line_full"),
)
LIMITER_RETRY_AFTER: Final = Attribute(
    "spanguard.rate_limiting.retry_after", "double", "When the same request would be admitted.", unit="s"
)
LIMITER_LIMIT: Final = Attribute(
    "spanguard.rate_limiting.limit",
    "double",
    "The most that can be admitted at once: burst of a bucket, amount of a window.",
    unit="{request}",
)
LIMITER_COST: Final = Attribute(
    "spanguard.rate_limiting.cost", "double", "The tokens that the request asked for.", unit="{request}"
)

LIMITER_REQUESTS_METRIC: Final = Metric(
    "spanguard.rate_limiting.requests",
    MetricKind.COUNTER,
    "{request}",
    "Requests for a permit, by result.",
    (POLICY_NAME, LIMITER_STRATEGY, LIMITER_RESULT),
)
LIMITER_TIME_IN_QUEUE_METRIC: Final = Metric(
    "spanguard.rate_limiting.request.time_in_queue",
    MetricKind.HISTOGRAM,
    "s",
    "How long a request that had to wait stood in line until it was admitted.",
    (POLICY_NAME, LIMITER_RESULT),
    buckets=QUEUE_BUCKETS,
)
LIMITER_QUEUED_METRIC: Final = Metric(
    "spanguard.rate_limiting.request.queued",
    MetricKind.UPDOWNCOUNTER,
    "{request}",
    "Requests that wait for a permit now.",
    (POLICY_NAME,),
)
LIMITER_AVAILABLE_METRIC: Final = Metric(
    "spanguard.rate_limiting.permits.available",
    MetricKind.GAUGE,
    "{permit}",
    "Permits that a request without a key could take now; limiters that share a name: the fewest.",
    (POLICY_NAME,),
)
LIMITER_REJECTED_EVENT: Final = Event(
    "spanguard.rate_limiting.rejected",
    "A request got no permit, at once or after waiting. The key that was limited is never part of it.",
    (POLICY_NAME, LIMITER_STRATEGY, LIMITER_RESULT),
    (LIMITER_REASON, LIMITER_RETRY_AFTER, LIMITER_LIMIT, LIMITER_COST),
)
LIMITER_STORAGE_STATE: Final = Attribute(
    "spanguard.rate_limiting.storage.state",
    "string",
    "Whether the storage through which processes share the limit answers; while it is `degraded`, each goes on with its local share.",
    values=LIMITER_STORAGE_STATES,
)
LIMITER_STORAGE_STATUS_METRIC: Final = Metric(
    "spanguard.rate_limiting.storage.status",
    MetricKind.UPDOWNCOUNTER,
    "{storage}",
    "1 for the state that the limiter's shared storage is in, 0 for the other; storages that share a name add up.",
    (POLICY_NAME, LIMITER_STORAGE_STATE),
)
LIMITER_STORAGE_EVENT: Final = Event(
    "spanguard.rate_limiting.storage.status_change",
    "The shared storage of the limiter was lost, so that the limiter goes on with its local share, or is back.",
    (POLICY_NAME, LIMITER_STORAGE_STATE),
    (ERROR_TYPE,),
)
