"""The signals of a circuit breaker."""

from __future__ import annotations

from typing import Final, Literal, get_args

from spanguard.semconv.common import ERROR_TYPE, POLICY_NAME
from spanguard.semconv.model import Attribute, Event, Metric, MetricKind

# What these attributes may hold, as types: whoever sets one is checked against the registry.
BreakerState = Literal["closed", "open", "half_open"]
BreakerOutcome = Literal["success", "failure", "slow", "ignored", "rejected"]
BreakerReason = Literal[
    "consecutive_failures",
    "failure_rate",
    "slow_call_rate",
    "probe_failed",
    "probe_slow",
    "reset_timeout_elapsed",
    "success_threshold_reached",
    "manual",
    "storage",
]
BreakerStorageState = Literal["available", "degraded"]

BREAKER_STATES: Final[tuple[BreakerState, ...]] = get_args(BreakerState)
BREAKER_STATE: Final = Attribute(
    "spanguard.circuit_breaker.state", "string", "The state of the breaker.", values=BREAKER_STATES
)
BREAKER_FROM: Final = Attribute(
    "spanguard.circuit_breaker.transition.from", "string", "The state that was left.", values=BREAKER_STATES
)
BREAKER_TO: Final = Attribute(
    "spanguard.circuit_breaker.transition.to", "string", "The state that was entered.", values=BREAKER_STATES
)
BREAKER_OUTCOME: Final = Attribute(
    "spanguard.circuit_breaker.outcome",
    "string",
    "What the breaker made of the call: `slow` succeeded but took longer than the slow-call threshold, `ignored` raised an excluded error or was cancelled, `rejected` never ran.",
    values=get_args(BreakerOutcome),
)
BREAKER_REASON: Final = Attribute(
    "spanguard.circuit_breaker.reason", "string", "Why the breaker moved.", values=get_args(BreakerReason)
)
BREAKER_FAILURES: Final = Attribute(
    "spanguard.circuit_breaker.failure.count",
    "int",
    "Failures counted when the breaker moved: consecutive ones, or those in the window.",
    unit="{call}",
)
BREAKER_WINDOW_CALLS: Final = Attribute(
    "spanguard.circuit_breaker.window.call.count", "int", "Calls in the window when the breaker moved.", unit="{call}"
)
BREAKER_WINDOW_SLOW: Final = Attribute(
    "spanguard.circuit_breaker.window.slow_call.count",
    "int",
    "Slow calls in the window when the breaker moved.",
    unit="{call}",
)
BREAKER_SUCCESSES: Final = Attribute(
    "spanguard.circuit_breaker.success.count", "int", "Successful probes counted when the breaker moved.", unit="{call}"
)
BREAKER_THRESHOLD: Final = Attribute(
    "spanguard.circuit_breaker.threshold",
    "double",
    "The threshold that was reached: a number of calls for `consecutive_failures` and `success_threshold_reached`, a ratio from 0 to 1 for the rates.",
)
BREAKER_RETRY_AFTER: Final = Attribute(
    "spanguard.circuit_breaker.retry_after", "double", "How long the breaker will stay open.", unit="s"
)

BREAKER_STORAGE_STATES: Final[tuple[BreakerStorageState, ...]] = get_args(BreakerStorageState)
BREAKER_STORAGE_STATE: Final = Attribute(
    "spanguard.circuit_breaker.storage.state",
    "string",
    "Whether the storage through which processes share the breaker answers; while it is `degraded`, each goes on with its own state.",
    values=BREAKER_STORAGE_STATES,
)

BREAKER_CALLS_METRIC: Final = Metric(
    "spanguard.circuit_breaker.calls",
    MetricKind.COUNTER,
    "{call}",
    "Calls that reached the breaker, by what it made of them. Each call counts once.",
    (POLICY_NAME, BREAKER_OUTCOME),
    (ERROR_TYPE,),
)
BREAKER_STATUS_METRIC: Final = Metric(
    "spanguard.circuit_breaker.status",
    MetricKind.UPDOWNCOUNTER,
    "{breaker}",
    "1 for the state the breaker is in, 0 for the others; breakers that share a name add up.",
    (POLICY_NAME, BREAKER_STATE),
)
BREAKER_TRANSITIONS_METRIC: Final = Metric(
    "spanguard.circuit_breaker.transitions",
    MetricKind.COUNTER,
    "{transition}",
    "State changes of the breaker.",
    (POLICY_NAME, BREAKER_FROM, BREAKER_TO),
)
BREAKER_STATE_CHANGE_EVENT: Final = Event(
    "spanguard.circuit_breaker.state_change",
    "The breaker moved from one state to another, and why.",
    (POLICY_NAME, BREAKER_FROM, BREAKER_TO, BREAKER_REASON),
    (
        BREAKER_FAILURES,
        BREAKER_WINDOW_CALLS,
        BREAKER_WINDOW_SLOW,
        BREAKER_SUCCESSES,
        BREAKER_THRESHOLD,
        BREAKER_RETRY_AFTER,
        ERROR_TYPE,
    ),
)
BREAKER_STORAGE_STATUS_METRIC: Final = Metric(
    "spanguard.circuit_breaker.storage.status",
    MetricKind.UPDOWNCOUNTER,
    "{storage}",
    "1 for the state that the breaker's shared storage is in, 0 for the other; storages that share a name add up.",
    (POLICY_NAME, BREAKER_STORAGE_STATE),
)
BREAKER_STORAGE_EVENT: Final = Event(
    "spanguard.circuit_breaker.storage.status_change",
    "The shared storage of the breaker was lost, so that the breaker goes on with the state of its process, or is back.",
    (POLICY_NAME, BREAKER_STORAGE_STATE),
    (ERROR_TYPE,),
)
