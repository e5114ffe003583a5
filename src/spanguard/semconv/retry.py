"""The signals of a retry."""

from __future__ import annotations

from typing import Final

from spanguard.semconv.common import ERROR_TYPE, POLICY_NAME, QUEUE_BUCKETS
from spanguard.semconv.model import Attribute, Event, Metric, MetricKind

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
