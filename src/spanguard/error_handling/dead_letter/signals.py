"""What a dead-letter queue says: counts, gauges, events, and the span of a replay."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final, Literal

from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from spanguard import semconv
from spanguard._version import __version__
from spanguard.clock import Clock
from spanguard.error_handling.dead_letter.letter import DeadLetter
from spanguard.telemetry import COUNTS, Cell, emit
from spanguard.telemetry.counts import AttributeValues
from spanguard.telemetry.internal import note_failure, safely
from spanguard.telemetry.spans import annotate

COMPONENT: Final = "dead letters"
"""This room in `spanguard.telemetry.errors`."""

Outcome = Literal["stored", "replayed", "replay_failed", "discarded"]
Waiting = Callable[[], tuple[int, float | None]]

_tracer: Final = trace.get_tracer(semconv.SCHEMA_SCOPE, __version__)


def count(queue: str, outcome: Outcome, letters: int = 1) -> None:
    """Count what became of letters."""
    if letters:
        COUNTS.add(semconv.DEAD_LETTER_MESSAGES_METRIC, _counted_as(queue, outcome), letters)


def stored_cell(owner: object, queue: str) -> Cell:
    """Return the int in which `owner` counts the letters it stores."""
    return COUNTS.cell(semconv.DEAD_LETTER_MESSAGES_METRIC, _counted_as(queue, "stored"), owner=owner)


def say_stored(queue: str, letter_id: int, operation: str, attempts: int, error_type: str | None) -> None:
    """Emit the event of a new letter, in the trace that failed, whose current span tells of the queue too."""
    annotate({semconv.DEAD_LETTER_QUEUE.key: queue})
    emit(
        semconv.DEAD_LETTER_STORED_EVENT,
        {
            semconv.DEAD_LETTER_QUEUE.key: queue,
            semconv.DEAD_LETTER_ID.key: letter_id,
            semconv.DEAD_LETTER_OPERATION.key: operation,
            semconv.DEAD_LETTER_ATTEMPTS.key: attempts,
            semconv.ERROR_TYPE.key: error_type,
        },
        body=f"dead letter {letter_id} stored in {queue}: {operation} failed with {error_type or 'no error given'}",
        severity=SeverityNumber.WARN,
    )


def say_replayed(letter: DeadLetter, outcome: Outcome, error_type: str | None = None) -> None:
    """Count a replay that ended and emit its event."""
    count(letter.queue, outcome)
    emit(
        semconv.DEAD_LETTER_REPLAYED_EVENT,
        {
            **_of_letter(letter),
            semconv.DEAD_LETTER_OUTCOME.key: outcome,
            semconv.ERROR_TYPE.key: error_type,
        },
        body=f"dead letter {letter.id} of {letter.queue}, replay {letter.replays}: {outcome.replace('_', ' ')}",
        severity=SeverityNumber.INFO if outcome == "replayed" else SeverityNumber.WARN,
    )


def start_replay_span(letter: DeadLetter) -> trace.Span:
    """Start the span of a replay, linked to the span that failed."""
    try:
        links = []
        if letter.trace_id:
            # The flag says what is not known any more; a link to a trace that was not sampled leads nowhere either way.
            failed = SpanContext(
                int(letter.trace_id, 16),
                int(letter.span_id, 16),
                is_remote=True,
                trace_flags=TraceFlags(TraceFlags.SAMPLED),
            )
            links = [Link(failed)]
        return _tracer.start_span(
            f"{semconv.REPLAY_SPAN.name} {letter.queue}",
            kind=SpanKind.INTERNAL,
            attributes=_of_letter(letter),
            links=links,
            record_exception=False,
            set_status_on_exception=False,
        )
    except Exception as failure:  # noqa: BLE001 - telemetry never breaks the call
        note_failure("spans", failure)
        return trace.INVALID_SPAN


def mark_failed(span: trace.Span, error_type: str) -> None:
    """Mark the span of a replay whose handler failed."""
    with safely("spans"):
        span.set_attribute(semconv.ERROR_TYPE.key, error_type)
        span.set_status(Status(StatusCode.ERROR, error_type))


class Gauges:
    """Size and oldest age of a queue, as they were at the collection before, without a wait for the database.

    A collection must not block, so it shows the last values known and has a thread of its own ask for the next ones.

    Args:
        queue: the queue's name.
        waiting: asks the database how many letters wait and since when the oldest does.
        clock: the time.
    """

    def __init__(self, queue: str, waiting: Waiting, clock: Clock) -> None:
        self._attributes = {semconv.DEAD_LETTER_QUEUE.key: queue}
        self._waiting = waiting
        self._clock = clock
        self._lock = threading.Lock()
        self._known: tuple[int, float | None] | None = None
        self._asking: threading.Thread | None = None
        self._has_ended = False
        COUNTS.observe(semconv.DEAD_LETTER_SIZE_METRIC, self, Gauges._size)
        COUNTS.observe(semconv.DEAD_LETTER_OLDEST_METRIC, self, Gauges._oldest_age)

    def refresh(self) -> None:
        """Ask the database now."""
        if self._has_ended:
            return
        with safely(COMPONENT):
            self._known = self._waiting()

    def end(self) -> None:
        """Show nothing any more, and ask nothing."""
        with self._lock:
            self._has_ended, asking = True, self._asking
        if asking is not None:
            asking.join()
        self._known = None

    def start_again_in_child(self) -> None:
        """Drop what another thread of the parent held: it does not exist here."""
        self._lock = threading.Lock()

    def _size(self) -> Iterable[tuple[AttributeValues, float]]:
        self._refresh_aside()
        known = self._known
        return [] if known is None else [(self._attributes, known[0])]

    def _oldest_age(self) -> Iterable[tuple[AttributeValues, float]]:
        known = self._known
        if known is None:
            return []
        oldest = known[1]
        return [(self._attributes, 0.0 if oldest is None else max(0.0, self._clock.time() - oldest))]

    def _refresh_aside(self) -> None:
        with self._lock:
            if self._has_ended:
                return
            if self._asking is None or not self._asking.is_alive():
                self._asking = threading.Thread(target=self.refresh, name="spanguard-dead-letters", daemon=True)
                self._asking.start()


def _counted_as(queue: str, outcome: Outcome) -> dict[str, str]:
    return {semconv.DEAD_LETTER_QUEUE.key: queue, semconv.DEAD_LETTER_OUTCOME.key: outcome}


def _of_letter(letter: DeadLetter) -> dict[str, str | int]:
    return {
        semconv.DEAD_LETTER_QUEUE.key: letter.queue,
        semconv.DEAD_LETTER_ID.key: letter.id,
        semconv.DEAD_LETTER_OPERATION.key: letter.operation,
        semconv.DEAD_LETTER_REPLAYS.key: letter.replays,
    }
