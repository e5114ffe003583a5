"""The registry: every metric, event, span and attribute name that spanguard emits, with unit and meaning.

Nothing else in the tree spells such a name out. `docs/signals.md` is generated from here, and a test holds captured
telemetry against it in both directions: what is emitted is registered, what is registered is emitted.

Naming follows the OpenTelemetry naming guide: dotted, snake_case, singular, namespaced, UCUM units, no `_total`.
This module imports nothing but the standard library.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, get_args

SCHEMA_SCOPE: Final = "spanguard"
"""The instrumentation scope of every signal."""


DEPLOYMENT_ENVIRONMENT: Final = "deployment.environment.name"
"""OpenTelemetry's resource attribute for where a service runs; its Python package has it only as an incubating name."""


class Stability(StrEnum):
    """How firmly a name stands, in OpenTelemetry's words."""

    DEVELOPMENT = "development"
    STABLE = "stable"


class MetricKind(StrEnum):
    """The instrument behind a metric.

    All but histograms are observable: the hot path bumps an int, the reader collects it.
    """

    COUNTER = "counter"
    UPDOWNCOUNTER = "updowncounter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


AttributeType = Literal["string", "int", "double", "boolean"]


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute key with its type and meaning; `values` closes the set of what it may hold."""

    key: str
    type: AttributeType
    meaning: str
    values: tuple[str, ...] = ()
    unit: str = ""
    is_prefix: bool = False
    stability: Stability = Stability.DEVELOPMENT


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: its attributes listed under `optional` appear only where they have a value."""

    name: str
    kind: MetricKind
    unit: str
    meaning: str
    attributes: tuple[Attribute, ...]
    optional: tuple[Attribute, ...] = ()
    buckets: tuple[float, ...] = ()
    stability: Stability = Stability.DEVELOPMENT


@dataclass(frozen=True, slots=True)
class Event:
    """A log record with an event name; it carries the trace context of what caused it."""

    name: str
    meaning: str
    attributes: tuple[Attribute, ...]
    optional: tuple[Attribute, ...] = ()
    stability: Stability = Stability.DEVELOPMENT


@dataclass(frozen=True, slots=True)
class Span:
    """A span; `name` is the fixed first word, followed by the policy's name."""

    name: str
    meaning: str
    attributes: tuple[Attribute, ...]
    optional: tuple[Attribute, ...] = ()
    stability: Stability = Stability.DEVELOPMENT


# --- attributes shared by several signals --------------------------------------------------------------------------

POLICY_NAME: Final = Attribute(
    "spanguard.policy.name",
    "string",
    "The guard's configured name. Every guard carries it, so one dashboard variable serves all.",
)
ERROR_TYPE: Final = Attribute(
    "error.type",
    "string",
    "The class of the error, from OpenTelemetry's own conventions: `module.Class`, or the bare name for built-ins; `_OTHER` once a process has seen too many.",
    stability=Stability.STABLE,
)
OUTCOME: Final = Attribute(
    "spanguard.outcome",
    "string",
    "How the guarded call ended, as the caller saw it.",
    values=("success", "failure", "rejected"),
)
COMPONENT: Final = Attribute("spanguard.component", "string", "The part of spanguard in which something went wrong.")
METRIC_OVERFLOW: Final = Attribute(
    "otel.metric.overflow",
    "boolean",
    "Set on the one series that takes all attribute sets beyond the cardinality limit.",
    stability=Stability.STABLE,
)

# --- circuit breaker -----------------------------------------------------------------------------------------------

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

# --- rate limiting -------------------------------------------------------------------------------------------------

LIMITER_STRATEGY: Final = Attribute(
    "spanguard.rate_limiting.strategy",
    "string",
    "The algorithm that decided.",
    values=("token_bucket", "fixed_window", "moving_window", "sliding_window_counter", "other"),
)
LIMITER_RESULT: Final = Attribute(
    "spanguard.rate_limiting.result",
    "string",
    "What became of the request: `timed_out` was ready to wait, but its turn would have come after its timeout; it is told so at once.",
    values=("acquired", "rejected", "timed_out"),
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

QUEUE_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

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
    (LIMITER_RETRY_AFTER, LIMITER_LIMIT, LIMITER_COST),
)

# --- alerts --------------------------------------------------------------------------------------------------------

ALERT_NAME: Final = Attribute("spanguard.alert.name", "string", "The alert's name; becomes the label `alertname`.")
ALERT_SEVERITY: Final = Attribute(
    "spanguard.alert.severity", "string", "How urgent it is.", values=("info", "warning", "critical")
)
ALERT_STATE: Final = Attribute(
    "spanguard.alert.state", "string", "Whether the alert stands or is over.", values=("firing", "resolved")
)
ALERT_KEY: Final = Attribute(
    "spanguard.alert.key",
    "string",
    "A stable identity: the same name, severity and labels in the same service have the same key.",
)
ALERT_STARTS_AT: Final = Attribute(
    "spanguard.alert.starts_at", "int", "When the alert was raised, since the Unix epoch.", unit="ns"
)
ALERT_RESEND_INTERVAL: Final = Attribute(
    "spanguard.alert.resend_interval",
    "double",
    "How often a standing alert is sent again; four misses end it.",
    unit="s",
)
ALERT_SUMMARY: Final = Attribute("spanguard.alert.summary", "string", "One line for the person who wakes up.")
ALERT_DESCRIPTION: Final = Attribute("spanguard.alert.description", "string", "What is known, in a few sentences.")
ALERT_RUNBOOK_URL: Final = Attribute("spanguard.alert.runbook_url", "string", "Where it is written what to do.")
ALERT_LABEL: Final = Attribute(
    "spanguard.alert.label",
    "string",
    "The declared labels, one attribute each: `spanguard.alert.label.<name>`.",
    is_prefix=True,
)

ALERT_ACTIVE_METRIC: Final = Metric(
    "spanguard.alert.active",
    MetricKind.UPDOWNCOUNTER,
    "{alert}",
    "Application alerts that stand now.",
    (ALERT_NAME, ALERT_SEVERITY),
)
ALERT_EVENT: Final = Event(
    "spanguard.alert",
    "An application alert was raised, still stands, or was resolved. The collector turns it into an Alertmanager alert.",
    (ALERT_NAME, ALERT_SEVERITY, ALERT_STATE, ALERT_KEY, ALERT_STARTS_AT, ALERT_RESEND_INTERVAL),
    (ALERT_SUMMARY, ALERT_DESCRIPTION, ALERT_RUNBOOK_URL, ALERT_LABEL),
)

# --- spanguard itself ----------------------------------------------------------------------------------------------

TELEMETRY_ERRORS_METRIC: Final = Metric(
    "spanguard.telemetry.errors",
    MetricKind.COUNTER,
    "{error}",
    "Failures inside spanguard, or in a listener or sink it called, that were kept away from the guarded call.",
    (COMPONENT, ERROR_TYPE),
)

# --- spans ---------------------------------------------------------------------------------------------------------

GUARD_SPAN: Final = Span(
    "guard",
    "One guarded call: the whole pipeline of policies around one operation. `guard <policy name>`, kind INTERNAL; status ERROR only where the caller saw an error.",
    (POLICY_NAME, OUTCOME),
    (BREAKER_STATE, BREAKER_OUTCOME, BREAKER_RETRY_AFTER, ERROR_TYPE),
)
WAIT_SPAN: Final = Span(
    "wait",
    "The time a request spent in a limiter's queue. `wait <policy name>`, kind INTERNAL.",
    (POLICY_NAME, LIMITER_STRATEGY, LIMITER_RESULT),
)
CALL_SPAN: Final = Span(
    "call",
    "A call through an instrumented library's guard that failed or was refused. `call <policy name>`, kind INTERNAL, under the span that was current; never a root.",
    (POLICY_NAME, BREAKER_OUTCOME, BREAKER_STATE),
    (ERROR_TYPE,),
)

ANNOTATIONS: Final = (
    LIMITER_RESULT,
    LIMITER_RETRY_AFTER,
    LIMITER_STRATEGY,
    BREAKER_STATE,
    BREAKER_OUTCOME,
    POLICY_NAME,
)
"""Attributes that a decision may write on a span of the application that happens to be current."""

METRICS: Final = (
    BREAKER_CALLS_METRIC,
    BREAKER_STATUS_METRIC,
    BREAKER_TRANSITIONS_METRIC,
    LIMITER_REQUESTS_METRIC,
    LIMITER_TIME_IN_QUEUE_METRIC,
    LIMITER_QUEUED_METRIC,
    LIMITER_AVAILABLE_METRIC,
    ALERT_ACTIVE_METRIC,
    TELEMETRY_ERRORS_METRIC,
)
EVENTS: Final = (BREAKER_STATE_CHANGE_EVENT, LIMITER_REJECTED_EVENT, ALERT_EVENT)
SPANS: Final = (GUARD_SPAN, WAIT_SPAN, CALL_SPAN)
