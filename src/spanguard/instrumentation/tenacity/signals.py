"""What a retry emits, once: for the plugin of `tenacity` and for spanguard's own retry."""

from __future__ import annotations

from threading import get_ident
from typing import Final, Literal

from opentelemetry._logs import SeverityNumber

from spanguard import semconv
from spanguard.telemetry import COUNTS, Cell, emit, error_type, histograms
from spanguard.telemetry.sanitize import clean_text
from spanguard.telemetry.spans import initial_attributes

UNNAMED: Final = "unnamed"
"""The policy name of a retry without a name: one series for all of them, whatever their number."""

Reason = Literal["attempts", "timeout", "deadline", "budget", "not_retryable", "would_block", "other"]


class RetrySignals:
    """The signals of one retry policy.

    Args:
        policy: the policy's name, low in cardinality.
    """

    __slots__ = ("__weakref__", "_first_successes", "policy", "span_attributes")

    def __init__(self, policy: str) -> None:
        self.policy = clean_text(policy) or UNNAMED
        self.span_attributes = initial_attributes(self.policy, {semconv.RETRY_ATTEMPTS: 1})
        self._first_successes: dict[int, Cell] = {}

    def meet_thread(self) -> Cell:
        """Return the count of this thread's calls that succeeded at once.

        A thread bumps it in a line that calls nothing, so no lock is needed: that would be half the price.
        """
        thread = get_ident()
        cell = self._first_successes.get(thread)
        if cell is None:
            cell = COUNTS.cell(semconv.RETRY_CALLS_METRIC, self._where("success_without_retry"), owner=self)
            self._first_successes[thread] = cell
        return cell

    def succeeded(self, attempts: int) -> None:
        """Count a call that succeeded in the end."""
        if attempts == 1:
            cell = self.meet_thread()
            cell.value += 1
            return
        outcome = self._where("success_with_retry")
        COUNTS.add(semconv.RETRY_CALLS_METRIC, outcome)
        histograms.record(semconv.RETRY_ATTEMPTS_METRIC, attempts, outcome)

    def cancelled(self, error: BaseException) -> None:
        """Count a call whose caller went away."""
        COUNTS.add(semconv.RETRY_CALLS_METRIC, {**self._where("cancelled"), semconv.ERROR_TYPE.key: error_type(error)})

    def failed(self, attempts: int, reason: Reason, error: BaseException | None, elapsed: float) -> None:
        """Count a call that failed in the end, and tell of it where a retry was made or might have been.

        Args:
            attempts: how many were made.
            reason: why there is no further one.
            error: the last one; None where the result was not good enough.
            elapsed: seconds since the first attempt began.
        """
        kind = {} if error is None else {semconv.ERROR_TYPE.key: error_type(error)}
        outcome = self._where("failure_with_retry" if attempts > 1 else "failure_without_retry")
        COUNTS.add(semconv.RETRY_CALLS_METRIC, {**outcome, semconv.RETRY_REASON.key: reason, **kind})
        histograms.record(semconv.RETRY_ATTEMPTS_METRIC, attempts, outcome)
        if reason == "not_retryable" and attempts == 1:
            return
        emit(
            semconv.RETRY_EXHAUSTED_EVENT,
            {
                semconv.POLICY_NAME.key: self.policy,
                semconv.RETRY_REASON.key: reason,
                semconv.RETRY_ATTEMPTS.key: attempts,
                semconv.RETRY_ELAPSED.key: elapsed,
                **kind,
            },
            body=describe(self.policy, attempts, reason, elapsed) + _last(error),
            severity=SeverityNumber.WARN,
        )

    def backs_off(self, seconds: float) -> None:
        """Tell that a call is made to wait before its next attempt."""
        histograms.record(semconv.RETRY_BACKOFF_METRIC, seconds, {semconv.POLICY_NAME.key: self.policy})

    def _where(self, outcome: str) -> dict[str, str]:
        return {semconv.POLICY_NAME.key: self.policy, semconv.RETRY_OUTCOME.key: outcome}


_WHY: Final[dict[Reason, str]] = {
    "attempts": "no attempts are left",
    "timeout": "its timeout leaves no time for another",
    "deadline": "the deadline leaves no time for another",
    "budget": "the retry budget is spent",
    "not_retryable": "the last error is not retryable",
    "would_block": "to sleep would stop the event loop of this thread; retry an `async def` instead",
    "other": "its stop condition says so",
}


def describe(policy: str, attempts: int, reason: Reason, elapsed: float) -> str:
    """Return one line for people: how often it was tried, and why not once more."""
    times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    return f"retry {policy!r} gave up after {times} in {elapsed:.3g} s: {_WHY[reason]}"


def _last(error: BaseException | None) -> str:
    return "" if error is None else f"; the last error was {error_type(error)}"
