"""What a bounded queue tells: its counts, and the event of a change."""

from __future__ import annotations

from typing import get_args

from opentelemetry._logs import SeverityNumber

from spanguard import semconv
from spanguard.rate_limiter.backpressure.stats import PressureChange
from spanguard.semconv import PutOutcome, ShedReason
from spanguard.telemetry import COUNTS, Cell, emit


class Tallies:
    """The counts of one queue, for as long as `owner` lives. Not locked: who bumps one holds a lock."""

    __slots__ = ("gets", "puts", "shed")

    def __init__(self, name: str, owner: object) -> None:
        policy = {semconv.POLICY_NAME.key: name}
        self.gets = COUNTS.cell(semconv.BACKPRESSURE_GETS_METRIC, policy, owner=owner)
        self.puts: dict[PutOutcome, Cell] = {
            outcome: COUNTS.cell(
                semconv.BACKPRESSURE_PUTS_METRIC, {**policy, semconv.BACKPRESSURE_OUTCOME.key: outcome}, owner=owner
            )
            for outcome in get_args(PutOutcome)
        }
        self.shed: dict[ShedReason, Cell] = {
            reason: COUNTS.cell(
                semconv.BACKPRESSURE_SHED_METRIC, {**policy, semconv.BACKPRESSURE_SHED_REASON.key: reason}, owner=owner
            )
            for reason in get_args(ShedReason)
        }


def tell_change(name: str, change: PressureChange) -> None:
    """Emit that pressure began or ended."""
    state: semconv.PressureState = "on" if change.under_pressure else "off"
    emit(
        semconv.BACKPRESSURE_EVENT,
        {
            semconv.POLICY_NAME.key: name,
            semconv.BACKPRESSURE_STATE.key: state,
            semconv.BACKPRESSURE_REASON.key: change.reason,
            semconv.BACKPRESSURE_DEPTH.key: change.depth,
            semconv.BACKPRESSURE_LIMIT.key: change.limit,
            semconv.BACKPRESSURE_AGE.key: change.oldest_age,
            semconv.BACKPRESSURE_DURATION.key: None if change.under_pressure else change.duration,
            semconv.BACKPRESSURE_SHED.key: None if change.under_pressure else change.shed,
        },
        body=f"queue {name!r} is {'under pressure' if change.under_pressure else 'relieved'}: {change.reason}",
        severity=SeverityNumber.WARN if change.under_pressure else SeverityNumber.INFO,
    )
