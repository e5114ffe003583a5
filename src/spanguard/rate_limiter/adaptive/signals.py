"""What an adaptive limiter tells."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from opentelemetry._logs import SeverityNumber

from spanguard import semconv
from spanguard.rate_limiter.adaptive.meter import Meter, Move
from spanguard.telemetry import emit
from spanguard.telemetry.counts import AttributeValues
from spanguard.telemetry.spans import GuardSpan, annotate


def latencies(name: str, meter: Meter) -> Iterable[tuple[AttributeValues, float]]:
    """Yield the latencies that are known, with their attributes."""
    for kind, seconds in (("window", meter.latency), ("baseline", meter.baseline)):
        if seconds is not None:
            yield {semconv.POLICY_NAME.key: name, semconv.ADAPTIVE_KIND.key: kind}, seconds


def tell_move(name: str, move: Move) -> None:
    """Emit that the limit moved."""
    emit(
        semconv.ADAPTIVE_CHANGE_EVENT,
        {
            semconv.POLICY_NAME.key: name,
            semconv.ADAPTIVE_REASON.key: move.reason,
            semconv.ADAPTIVE_FROM.key: move.origin,
            semconv.ADAPTIVE_TO.key: move.target,
            semconv.ADAPTIVE_IN_FLIGHT.key: move.window.peak,
            semconv.ADAPTIVE_LATENCY.key: move.window.latency,
            semconv.ADAPTIVE_BASELINE.key: move.baseline,
        },
        body=f"adaptive limiter {name!r} moved its limit from {move.origin} to {move.target}: {move.reason}",
    )


def tell_refusal(
    name: str,
    outcome: Literal["rejected", "timed_out"],
    limit: int,
    queued: int,
    waited: float,
    span: GuardSpan | None,
) -> None:
    """Emit that a call was turned away, and write it on its span."""
    decision = {semconv.POLICY_NAME.key: name, semconv.ADAPTIVE_OUTCOME.key: outcome}
    if span is not None:
        span.set(semconv.ADAPTIVE_OUTCOME, outcome)
    else:
        annotate(decision)
    emit(
        semconv.ADAPTIVE_REJECTED_EVENT,
        {
            **decision,
            semconv.ADAPTIVE_LIMIT.key: limit,
            semconv.ADAPTIVE_QUEUED.key: queued,
            semconv.ADAPTIVE_WAITED.key: waited,
        },
        body=f"adaptive limiter {name!r} turned a call away",
        severity=SeverityNumber.WARN,
    )
