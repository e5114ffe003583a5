"""The application's own signals, made with OpenTelemetry's API alone. Their names are written down here, once."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import metrics, trace
from opentelemetry._logs import SeverityNumber, get_logger
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from spanguard.error_handling import ErrorHandler
from spanguard.telemetry import error_type
from tge_monitor.model import Reason

SCOPE: Final = "tge_monitor"

ITEMS_METRIC: Final = "tge_monitor.items"
MAILED_METRIC: Final = "tge_monitor.mailed"
ITEM_REFUSED_EVENT: Final = "tge_monitor.item.refused"
ROUND_FAILED_EVENT: Final = "tge_monitor.round.failed"
SOURCE: Final = "tge_monitor.source"
OUTCOME: Final = "tge_monitor.outcome"
REASON: Final = "tge_monitor.reason"
COUNT: Final = "tge_monitor.count"
ROUND: Final = "tge_monitor.round"
PAUSE: Final = "tge_monitor.pause"

STORED: Final = "stored"
DUPLICATE: Final = "duplicate"
UNMATCHED: Final = "unmatched"
REFUSED: Final = "refused"

errors: Final = ErrorHandler()
"""Hears of the errors that nobody caught, and of those that ended a round."""

_tracer: Final = trace.get_tracer(SCOPE)
_meter: Final = metrics.get_meter(SCOPE)
_otel_logger: Final = get_logger(SCOPE)
_logger: Final = logging.getLogger(SCOPE)

_items: Final = _meter.create_counter(
    ITEMS_METRIC, unit="{item}", description="What sources sent, by what became of it; refused items say why."
)
_mailed: Final = _meter.create_counter(
    MAILED_METRIC, unit="{announcement}", description="Announcements that a mail server took."
)

_LEVELS: Final = {SeverityNumber.INFO: logging.INFO, SeverityNumber.WARN: logging.WARNING}


def count_items(source: str, outcome: str, amount: int) -> None:
    """Count items that were stored, known already, or no announcement."""
    if amount:
        _items.add(amount, {SOURCE: source, OUTCOME: outcome})


def count_mailed(amount: int) -> None:
    """Count announcements that a mail server took."""
    _mailed.add(amount)


def report_refused(source: str, reasons: Iterable[Reason]) -> None:
    """Count what was refused, and log one event a reason. What was refused is never part of a signal."""
    for reason, amount in Counter(reasons).items():
        _items.add(amount, {SOURCE: source, OUTCOME: REFUSED, REASON: reason.value})
        _emit(
            ITEM_REFUSED_EVENT,
            {SOURCE: source, REASON: reason.value, COUNT: amount},
            f"{source}: refused {amount} x {reason}",
            SeverityNumber.WARN,
        )


def report_round_failed(name: str, kind: str, pause: float) -> None:
    """Log that a round ended without a result, and in how many seconds the next one begins."""
    _emit(
        ROUND_FAILED_EVENT,
        {ROUND: name, "error.type": kind, PAUSE: pause},
        f"{name}: {kind}; next round in {pause:.1f} s",
        SeverityNumber.WARN,
    )


def _emit(name: str, attributes: dict[str, str | int | float], body: str, severity: SeverityNumber) -> None:
    _otel_logger.emit(
        event_name=name,
        attributes=attributes,
        body=body,
        severity_number=severity,
        severity_text=severity.name,
    )
    _logger.log(_LEVELS[severity], "%s", body)


@contextmanager
def span(
    name: str,
    attributes: dict[str, str | int],
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    context: Context | None = None,
) -> Iterator[Span]:
    """Run a block in a span of its own, which tells the class of what the block raised and nothing more of it.

    Args:
        name: low in cardinality.
        attributes: what is known at the start.
        kind: OpenTelemetry's kind.
        context: the parent, if it is not what is current.
    """
    with _tracer.start_as_current_span(
        name, context, kind, attributes, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except BaseException as error:
            mark_failed(current, error_type(error))
            raise


def mark_failed(current: Span, kind: str) -> None:
    """Mark a span as failed with this `error.type`."""
    current.set_attribute("error.type", kind)
    current.set_status(Status(StatusCode.ERROR, kind))
