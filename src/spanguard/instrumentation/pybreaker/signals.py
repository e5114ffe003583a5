"""What a circuit breaker emits, once: for the plugin of `pybreaker` and for spanguard's own breaker."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry._logs import SeverityNumber

from spanguard import semconv
from spanguard.telemetry import COUNTS, Cell, emit
from spanguard.telemetry.sanitize import clean_text
from spanguard.telemetry.spans import initial_attributes

UNNAMED: Final = "unnamed"
"""The policy name of a breaker without a name: one series for all of them, whatever their number."""

State = semconv.BreakerState
Outcome = semconv.BreakerOutcome
Reason = semconv.BreakerReason


@dataclass(frozen=True, slots=True)
class StateChange:
    """One move of a breaker, and why it moved.

    Attributes:
        source: the state that was left.
        target: the state that was entered.
        reason: what made it move.
        failures: failures in a row, or in the window where a rate decided.
        window_calls: calls in the window.
        window_slow_calls: slow calls in the window.
        successes: successful probes.
        threshold: what was reached: a number of calls, or a ratio from 0 to 1.
        retry_after: seconds that the breaker will stay open.
        error_type: the class of the last failure, as `error.type` has it.
    """

    source: State
    target: State
    reason: Reason
    failures: int | None = None
    window_calls: int | None = None
    window_slow_calls: int | None = None
    successes: int | None = None
    threshold: float | None = None
    retry_after: float | None = None
    error_type: str | None = None


class BreakerSignals:
    """The signals of one breaker.

    Cells are plain ints: whoever bumps them, or asks for one, holds a lock of its own. What was counted stays in the
    totals when the breaker is gone.

    Args:
        policy: the breaker's name, or None.
        owner: the breaker; its state is shown for as long as this object lives.
        state_of: returns the owner's state; must neither block nor hold on to the owner.
    """

    __slots__ = ("__weakref__", "_cells", "_owner", "policy", "rejected", "span_attributes", "success")

    def __init__(self, policy: str | None, owner: object, state_of: Callable[[Any], State]) -> None:
        self.policy = clean_text(policy) if policy else UNNAMED
        self._owner = weakref.ref(owner)
        self.span_attributes = initial_attributes(
            self.policy, {semconv.BREAKER_STATE: "closed", semconv.BREAKER_OUTCOME: "success"}
        )
        self._cells: dict[tuple[Outcome, str | None], Cell] = {}
        self.success = self.cell("success")
        self.rejected = self.cell("rejected")
        COUNTS.observe(semconv.BREAKER_STATUS_METRIC, self, _status(self.policy, state_of))

    def cell(self, outcome: Outcome, error_type: str | None = None) -> Cell:
        """Return the count of the calls that ended so; always the same one for the same arguments."""
        cell = self._cells.get((outcome, error_type))
        if cell is None:
            attributes = {semconv.POLICY_NAME.key: self.policy, semconv.BREAKER_OUTCOME.key: outcome}
            if error_type is not None:
                attributes[semconv.ERROR_TYPE.key] = error_type
            cell = self._cells[outcome, error_type] = COUNTS.cell(semconv.BREAKER_CALLS_METRIC, attributes, owner=self)
        return cell

    def total(self, outcome: Outcome) -> int:
        """Return how many calls of this breaker ended so, whatever their error."""
        return sum(cell.value for (counted, _), cell in list(self._cells.items()) if counted == outcome)

    def moved(self, change: StateChange) -> None:
        """Tell that the breaker changed its state: a count and an event, in the trace that caused it."""
        where: dict[str, str | bool | int | float] = {
            semconv.POLICY_NAME.key: self.policy,
            semconv.BREAKER_FROM.key: change.source,
            semconv.BREAKER_TO.key: change.target,
        }
        COUNTS.add(semconv.BREAKER_TRANSITIONS_METRIC, where)
        emit(
            semconv.BREAKER_STATE_CHANGE_EVENT,
            {
                **where,
                semconv.BREAKER_REASON.key: change.reason,
                semconv.BREAKER_FAILURES.key: change.failures,
                semconv.BREAKER_WINDOW_CALLS.key: change.window_calls,
                semconv.BREAKER_WINDOW_SLOW.key: change.window_slow_calls,
                semconv.BREAKER_SUCCESSES.key: change.successes,
                semconv.BREAKER_THRESHOLD.key: change.threshold,
                semconv.BREAKER_RETRY_AFTER.key: change.retry_after,
                semconv.ERROR_TYPE.key: change.error_type,
            },
            body=_describe(self.policy, change),
            severity=SeverityNumber.WARN if change.target == "open" else SeverityNumber.INFO,
        )


def _status(
    policy: str, state_of: Callable[[Any], State]
) -> Callable[[BreakerSignals], list[tuple[dict[str, str], int]]]:
    series = [
        (state, {semconv.POLICY_NAME.key: policy, semconv.BREAKER_STATE.key: state}) for state in semconv.BREAKER_STATES
    ]

    def observe(signals: BreakerSignals) -> list[tuple[dict[str, str], int]]:
        owner = signals._owner()  # noqa: SLF001 - a callback of this very object, which must not hold on to it
        current = None if owner is None else state_of(owner)
        return [(attributes, int(state == current)) for state, attributes in series]

    return observe


_WHY: Final[dict[Reason, str]] = {
    "consecutive_failures": "calls in a row failed",
    "failure_rate": "the share of failed calls reached the threshold",
    "slow_call_rate": "the share of slow calls reached the threshold",
    "probe_failed": "a probe failed",
    "probe_slow": "a probe was slow",
    "reset_timeout_elapsed": "the reset timeout has elapsed",
    "success_threshold_reached": "enough probes succeeded",
    "manual": "it was asked to",
    "storage": "its storage says so",
}


def _describe(policy: str, change: StateChange) -> str:
    figures = [
        f"{name} {value:g}"
        for name, value in (
            ("failures", change.failures),
            ("successes", change.successes),
            ("calls in the window", change.window_calls),
            ("slow ones", change.window_slow_calls),
            ("threshold", change.threshold),
        )
        if value is not None
    ]
    details = f" ({', '.join(figures)})" if figures else ""
    last = "" if change.error_type is None else f"; the last error was {change.error_type}"
    when = "" if change.retry_after is None else f"; a probe may pass in {change.retry_after:g} s"
    return f"circuit breaker {policy!r} went from {change.source} to {change.target}: {_WHY[change.reason]}{details}{last}{when}"
