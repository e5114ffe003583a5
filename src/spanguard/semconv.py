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

DEADLINE_BAGGAGE: Final = "spanguard.deadline"
"""The baggage entry that carries a deadline to other processes: milliseconds since the Unix epoch."""


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

# --- retry ---------------------------------------------------------------------------------------------------------

RETRY_OUTCOME: Final = Attribute(
    "spanguard.retry.outcome",
    "string",
    "How the call ended, and whether it took more than one attempt; `cancelled` says that the caller went away.",
    values=(
        "success_without_retry",
        "success_with_retry",
        "failure_without_retry",
        "failure_with_retry",
        "cancelled",
    ),
)
RETRY_REASON: Final = Attribute(
    "spanguard.retry.reason",
    "string",
    "Why a call that failed was not tried again: `would_block` would have had to sleep in a thread that runs an event loop, `other` is a stop condition of the application's own.",
    values=("attempts", "timeout", "deadline", "budget", "not_retryable", "would_block", "other"),
)
RETRY_ATTEMPTS: Final = Attribute(
    "spanguard.retry.attempt.count", "int", "Attempts that the call took.", unit="{attempt}"
)
RETRY_ATTEMPT: Final = Attribute(
    "spanguard.retry.attempt.number",
    "int",
    "Which attempt it was, or which one failed before the wait; the first is 1.",
    unit="{attempt}",
)
RETRY_ELAPSED: Final = Attribute(
    "spanguard.retry.elapsed", "double", "Time since the first attempt began, waits included.", unit="s"
)

ATTEMPT_BUCKETS: Final = (1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 20.0, 50.0)

RETRY_CALLS_METRIC: Final = Metric(
    "spanguard.retry.calls",
    MetricKind.COUNTER,
    "{call}",
    "Calls under a retry, by how they ended. Each call counts once, whatever its attempts.",
    (POLICY_NAME, RETRY_OUTCOME),
    (RETRY_REASON, ERROR_TYPE),
)
RETRY_ATTEMPTS_METRIC: Final = Metric(
    "spanguard.retry.attempts",
    MetricKind.HISTOGRAM,
    "{attempt}",
    "Attempts of the calls whose first attempt did not succeed; the others are `success_without_retry` in the calls.",
    (POLICY_NAME, RETRY_OUTCOME),
    buckets=ATTEMPT_BUCKETS,
)
RETRY_BACKOFF_METRIC: Final = Metric(
    "spanguard.retry.backoff.duration",
    MetricKind.HISTOGRAM,
    "s",
    "How long a call was made to wait before its next attempt.",
    (POLICY_NAME,),
    buckets=QUEUE_BUCKETS,
)
RETRY_BUDGET_METRIC: Final = Metric(
    "spanguard.retry.budget.utilization",
    MetricKind.GAUGE,
    "1",
    "The share of the retry budget that is spent now, from 0 to 1; the policy name is that of the budget.",
    (POLICY_NAME,),
)
RETRY_EXHAUSTED_EVENT: Final = Event(
    "spanguard.retry.exhausted",
    "A call failed for good although it was retried, or could have been but for the budget, the deadline or the like. An error that is not retryable is told only after a retry.",
    (POLICY_NAME, RETRY_REASON, RETRY_ATTEMPTS, RETRY_ELAPSED),
    (ERROR_TYPE,),
)

# --- timeout -------------------------------------------------------------------------------------------------------

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

# --- bulkhead ------------------------------------------------------------------------------------------------------

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

# --- degradation ---------------------------------------------------------------------------------------------------

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

# --- dead letters --------------------------------------------------------------------------------------------------

DEAD_LETTER_QUEUE: Final = Attribute("spanguard.dead_letter.queue.name", "string", "The dead-letter queue's name.")
DEAD_LETTER_OUTCOME: Final = Attribute(
    "spanguard.dead_letter.outcome",
    "string",
    "What became of the letter: `replay_failed` waits for its next replay, `discarded` was given up by a person, by `max_replays` or by retention.",
    values=("stored", "replayed", "replay_failed", "discarded"),
)
DEAD_LETTER_ID: Final = Attribute("spanguard.dead_letter.id", "int", "The letter's id in its database.")
DEAD_LETTER_OPERATION: Final = Attribute(
    "spanguard.dead_letter.operation",
    "string",
    "The operation that failed, by the name its handler is registered under.",
)
DEAD_LETTER_ATTEMPTS: Final = Attribute(
    "spanguard.dead_letter.attempt.count", "int", "Attempts made before the letter was stored.", unit="{attempt}"
)
DEAD_LETTER_REPLAYS: Final = Attribute(
    "spanguard.dead_letter.replay.count",
    "int",
    "Replays of the letter begun so far, this one included.",
    unit="{replay}",
)

DEAD_LETTER_MESSAGES_METRIC: Final = Metric(
    "spanguard.dead_letter.messages",
    MetricKind.COUNTER,
    "{message}",
    "What this process did with dead letters.",
    (DEAD_LETTER_QUEUE, DEAD_LETTER_OUTCOME),
)
DEAD_LETTER_SIZE_METRIC: Final = Metric(
    "spanguard.dead_letter.queue.size",
    MetricKind.GAUGE,
    "{message}",
    "Letters that wait. All processes on one database see the same queue: take the maximum, not the sum.",
    (DEAD_LETTER_QUEUE,),
)
DEAD_LETTER_OLDEST_METRIC: Final = Metric(
    "spanguard.dead_letter.queue.oldest_age",
    MetricKind.GAUGE,
    "s",
    "How long ago the oldest waiting letter was stored; 0 for an empty queue.",
    (DEAD_LETTER_QUEUE,),
)
DEAD_LETTER_STORED_EVENT: Final = Event(
    "spanguard.dead_letter.stored",
    "An operation failed for good and is kept as a letter. Its payload is never part of the event.",
    (DEAD_LETTER_QUEUE, DEAD_LETTER_ID, DEAD_LETTER_OPERATION, DEAD_LETTER_ATTEMPTS),
    (ERROR_TYPE,),
)
DEAD_LETTER_REPLAYED_EVENT: Final = Event(
    "spanguard.dead_letter.replayed",
    "A letter was replayed, and with what outcome; it belongs to the replay's span, which links to the trace that failed.",
    (DEAD_LETTER_QUEUE, DEAD_LETTER_ID, DEAD_LETTER_OPERATION, DEAD_LETTER_REPLAYS, DEAD_LETTER_OUTCOME),
    (ERROR_TYPE,),
)

# --- errors --------------------------------------------------------------------------------------------------------

ERROR_HANDLED: Final = Attribute(
    "spanguard.error.handled", "boolean", "Whether the application caught the error and reported it itself."
)
ERROR_SOURCE: Final = Attribute(
    "spanguard.error.source",
    "string",
    "Where the error surfaced: `application` reported it, the others are Python's last resorts.",
    values=("application", "main_thread", "thread", "asyncio", "unraisable"),
)
ERROR_COUNT: Final = Attribute("spanguard.error.count", "int", "Errors that this record stands for.", unit="{error}")
ERROR_FIRST: Final = Attribute(
    "spanguard.error.first_at", "int", "When the first of them came, since the Unix epoch.", unit="ns"
)
ERROR_LAST: Final = Attribute(
    "spanguard.error.last_at", "int", "When the last of them came, since the Unix epoch.", unit="ns"
)
EXCEPTION_TYPE: Final = Attribute(
    "exception.type",
    "string",
    "The class of the exception, from OpenTelemetry's own conventions.",
    stability=Stability.STABLE,
)
EXCEPTION_MESSAGE: Final = Attribute(
    "exception.message",
    "string",
    "The exception's text, redacted and cut; only where the error handler was told to keep messages.",
    stability=Stability.STABLE,
)
EXCEPTION_STACKTRACE: Final = Attribute(
    "exception.stacktrace",
    "string",
    "The innermost frames of the exception and the classes of its causes, without messages.",
    stability=Stability.STABLE,
)

ERRORS_METRIC: Final = Metric(
    "spanguard.errors",
    MetricKind.COUNTER,
    "{error}",
    "Errors that the error handler saw, each counted once, also those that a summary stands for.",
    (ERROR_TYPE, ERROR_HANDLED),
)
ERROR_EVENT: Final = Event(
    "spanguard.error",
    "An exception, in the trace in which it was raised as far as that is known; or, with a count above 1, a summary of equal ones.",
    (ERROR_TYPE, EXCEPTION_TYPE, ERROR_HANDLED, ERROR_SOURCE, ERROR_COUNT, ERROR_FIRST, ERROR_LAST),
    (EXCEPTION_STACKTRACE, EXCEPTION_MESSAGE),
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
    (
        BREAKER_STATE,
        BREAKER_OUTCOME,
        BREAKER_RETRY_AFTER,
        RETRY_ATTEMPTS,
        RETRY_REASON,
        TIMEOUT_OUTCOME,
        BULKHEAD_OUTCOME,
        DEGRADATION_SOURCE,
        ERROR_TYPE,
    ),
)
ATTEMPT_SPAN: Final = Span(
    "attempt",
    "An attempt after the first. `attempt <policy name>`, kind INTERNAL, under the span of the guarded call or the current one; never a root. Guards under the retry write on it what they write on the span of the call.",
    (POLICY_NAME, OUTCOME, RETRY_ATTEMPT),
    (BREAKER_STATE, BREAKER_OUTCOME, BREAKER_RETRY_AFTER, TIMEOUT_OUTCOME, BULKHEAD_OUTCOME, ERROR_TYPE),
)
BACKOFF_SPAN: Final = Span(
    "backoff",
    "The wait between two attempts. `backoff <policy name>`, kind INTERNAL, never a root; not failed, though it tells the error that it follows.",
    (POLICY_NAME, RETRY_ATTEMPT),
    (ERROR_TYPE,),
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
REPLAY_SPAN: Final = Span(
    "replay",
    "One replay of a dead letter, linked to the span that failed. `replay <queue name>`, kind INTERNAL; status ERROR where the handler failed.",
    (DEAD_LETTER_QUEUE, DEAD_LETTER_ID, DEAD_LETTER_OPERATION, DEAD_LETTER_REPLAYS),
    (ERROR_TYPE,),
)

QUEUE_SPAN: Final = Span(
    "queue",
    "The time a call spent in a bulkhead's queue. `queue <policy name>`, kind INTERNAL, never a root.",
    (POLICY_NAME, BULKHEAD_OUTCOME),
)
FALLBACK_SPAN: Final = Span(
    "fallback",
    "A function that stood in for a call that failed. `fallback <policy name>`, kind INTERNAL, under the span of the guarded call; status ERROR where it failed too.",
    (POLICY_NAME, OUTCOME),
    (ERROR_TYPE,),
)

ANNOTATIONS: Final = (
    LIMITER_RESULT,
    LIMITER_RETRY_AFTER,
    LIMITER_STRATEGY,
    BREAKER_STATE,
    BREAKER_OUTCOME,
    RETRY_ATTEMPTS,
    RETRY_REASON,
    TIMEOUT_OUTCOME,
    BULKHEAD_OUTCOME,
    DEGRADATION_SOURCE,
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
    RETRY_CALLS_METRIC,
    RETRY_ATTEMPTS_METRIC,
    RETRY_BACKOFF_METRIC,
    RETRY_BUDGET_METRIC,
    TIMEOUT_CALLS_METRIC,
    BULKHEAD_CALLS_METRIC,
    BULKHEAD_LIMIT_METRIC,
    BULKHEAD_USAGE_METRIC,
    BULKHEAD_QUEUED_METRIC,
    BULKHEAD_TIME_IN_QUEUE_METRIC,
    DEGRADATION_ANSWERS_METRIC,
    ALERT_ACTIVE_METRIC,
    DEAD_LETTER_MESSAGES_METRIC,
    DEAD_LETTER_SIZE_METRIC,
    DEAD_LETTER_OLDEST_METRIC,
    ERRORS_METRIC,
    TELEMETRY_ERRORS_METRIC,
)
EVENTS: Final = (
    BREAKER_STATE_CHANGE_EVENT,
    LIMITER_REJECTED_EVENT,
    RETRY_EXHAUSTED_EVENT,
    TIMEOUT_EXCEEDED_EVENT,
    BULKHEAD_REJECTED_EVENT,
    DEGRADATION_EVENT,
    ALERT_EVENT,
    DEAD_LETTER_STORED_EVENT,
    DEAD_LETTER_REPLAYED_EVENT,
    ERROR_EVENT,
)
SPANS: Final = (GUARD_SPAN, ATTEMPT_SPAN, BACKOFF_SPAN, WAIT_SPAN, QUEUE_SPAN, FALLBACK_SPAN, CALL_SPAN, REPLAY_SPAN)
