"""What a rate limiter emits, once: for the plugin of `limits` and for spanguard's own limiters."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, Literal

from opentelemetry._logs import SeverityNumber

from spanguard import semconv
from spanguard.telemetry import COUNTS, Cell, emit, histograms, spans

Refusal = Literal["rejected", "timed_out"]

ACQUIRED: Final = "acquired"
REJECTED: Final = "rejected"
TIMED_OUT: Final = "timed_out"
FALLBACK: Final = "fallback"

NO_PERMIT: Final = "no_permit"
LINE_FULL: Final = "line_full"


class LimiterSignals:
    """The signals of one policy under one strategy.

    The cells are plain ints: whoever bumps them holds a lock of its own. What was counted stays in the totals when
    this object is gone. No key and no identifier is ever taken in here, so none can get out.

    Args:
        policy: the policy's name, low in cardinality.
        strategy: one of the values of `spanguard.rate_limiting.strategy`.
    """

    __slots__ = ("__weakref__", "_policy", "_strategy", "acquired", "rejected")

    def __init__(self, policy: str, strategy: str) -> None:
        self._policy = policy
        self._strategy = strategy
        self.acquired = self.cell(ACQUIRED)
        self.rejected = self.cell(REJECTED)

    def cell(self, result: str) -> Cell:
        """Return the count of the requests that ended so."""
        attributes = {
            semconv.POLICY_NAME.key: self._policy,
            semconv.LIMITER_STRATEGY.key: self._strategy,
            semconv.LIMITER_RESULT.key: result,
        }
        return COUNTS.cell(semconv.LIMITER_REQUESTS_METRIC, attributes, owner=self)

    def observe(self, metric: semconv.Metric, owner: object, read: Callable[[Any], float]) -> None:
        """Export `read(owner)` for as long as `owner` lives; `read` must neither block nor hold on to `owner`."""
        attributes = {semconv.POLICY_NAME.key: self._policy}
        COUNTS.observe(metric, owner, lambda living: [(attributes, read(living))])

    def refused(
        self,
        result: Refusal,
        *,
        cost: float | None = None,
        limit: float | None = None,
        retry_after: float | None = None,
        line_full: bool | None = None,
    ) -> None:
        """Tell that a request got no permit: an event, and attributes on the current span.

        Args:
            result: whether it was refused outright or could not be served within its timeout.
            cost: the tokens that it asked for.
            limit: the most that can be admitted at once.
            retry_after: seconds until the same request would be admitted; None where that is not known for free.
            line_full: whether it would have waited but found no place in the line; None where there is no line.
        """
        outcome: dict[str, str | float | bool] = {
            semconv.POLICY_NAME.key: self._policy,
            semconv.LIMITER_STRATEGY.key: self._strategy,
            semconv.LIMITER_RESULT.key: result,
        }
        if retry_after is not None:
            outcome[semconv.LIMITER_RETRY_AFTER.key] = retry_after
        spans.annotate(outcome)
        emit(
            semconv.LIMITER_REJECTED_EVENT,
            {
                **outcome,
                semconv.LIMITER_REASON.key: None if line_full is None else LINE_FULL if line_full else NO_PERMIT,
                semconv.LIMITER_LIMIT.key: limit,
                semconv.LIMITER_COST.key: cost,
            },
            body=_describe(self._policy, result, retry_after, line_full),
            severity=SeverityNumber.WARN,
        )

    def waited(self, seconds: float, *, since: int) -> None:
        """Tell that a request was admitted after a time in the queue: a histogram value and a child span.

        Args:
            seconds: how long it waited.
            since: when it began to wait, in nanoseconds since the Unix epoch.
        """
        histograms.record(
            semconv.LIMITER_TIME_IN_QUEUE_METRIC,
            seconds,
            {semconv.POLICY_NAME.key: self._policy, semconv.LIMITER_RESULT.key: ACQUIRED},
        )
        spans.add_child(
            semconv.WAIT_SPAN,
            self._policy,
            {semconv.LIMITER_STRATEGY.key: self._strategy, semconv.LIMITER_RESULT.key: ACQUIRED},
            start_time=since,
            end_time=time.time_ns(),
        )


def _describe(policy: str, result: Refusal, retry_after: float | None, line_full: bool | None) -> str:
    what = "refused a request" if result == REJECTED else "could not serve a request within its timeout"
    if line_full:
        what = "had no place in the line for a request"
    when = "" if retry_after is None else f"; it would be admitted in {retry_after:.3g} s"
    return f"rate limiter {policy!r} {what}{when}"
