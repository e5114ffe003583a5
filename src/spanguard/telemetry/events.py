"""Rare decisions as events: one event, many sinks.

The first sink is OpenTelemetry: a log record with an event name, in the trace that caused it. `add_sink` adds others:
a callback of the application, or `log_sink` for a plain Python logger.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from opentelemetry import trace
from opentelemetry._logs import SeverityNumber, _internal, get_logger
from opentelemetry.context import Context

from spanguard import semconv
from spanguard._version import __version__
from spanguard.telemetry.internal import safely
from spanguard.telemetry.sanitize import AttributeValue, clean_attributes, clean_text

_otel_logger = get_logger(semconv.SCHEMA_SCOPE, __version__)
_python_logger = logging.getLogger("spanguard.events")


@dataclass(frozen=True, slots=True)
class EmittedEvent:
    """An event as sinks see it.

    Attributes:
        name: the registered name.
        severity: OpenTelemetry's severity.
        body: one line for people.
        attributes: registered keys with clean values.
        timestamp: nanoseconds since the Unix epoch.
        trace_id: 32 hex digits, or empty outside a trace.
        span_id: 16 hex digits, or empty outside a trace.
    """

    name: str
    severity: SeverityNumber
    body: str
    attributes: Mapping[str, AttributeValue]
    timestamp: int
    trace_id: str
    span_id: str


class EventSink(Protocol):
    """What takes events; called in the thread that decided, so it must be quick. What it raises is kept from the call."""

    def __call__(self, event: EmittedEvent, /) -> None:
        """Take one event."""
        ...


_sinks: tuple[EventSink, ...] = ()
_sinks_lock = threading.Lock()


def add_sink(sink: EventSink) -> None:
    """Send every event to this sink too, from now on."""
    global _sinks  # noqa: PLW0603 - a documented singleton: the process's sinks, replaced whole so that readers need no lock
    with _sinks_lock:
        _sinks = (*_sinks, sink)


def remove_sink(sink: EventSink) -> None:
    """Undo `add_sink`; a sink that is not there is no error."""
    global _sinks  # noqa: PLW0603 - as in add_sink
    with _sinks_lock:
        _sinks = tuple(known for known in _sinks if known is not sink)


def log_sink(event: EmittedEvent) -> None:
    """Write the event to the Python logger `spanguard.events`.

    Not a default: where an application exports its Python logs over OpenTelemetry as well, each event would arrive twice.
    """
    _python_logger.log(
        _PYTHON_LEVELS[event.severity], "%s", event.body, extra={"event_name": event.name, **event.attributes}
    )


_PYTHON_LEVELS: Final = {
    SeverityNumber.INFO: logging.INFO,
    SeverityNumber.WARN: logging.WARNING,
    SeverityNumber.ERROR: logging.ERROR,
    SeverityNumber.FATAL: logging.CRITICAL,
}


def emit(
    event: semconv.Event,
    attributes: Mapping[str, AttributeValue | None],
    *,
    body: str,
    severity: SeverityNumber = SeverityNumber.INFO,
    context: Context | None = None,
) -> None:
    """Emit a registered event in the current trace (or that of `context`). Never raises.

    Args:
        event: its entry in the registry.
        attributes: registered keys; entries that are None are left out.
        body: one line for people.
        severity: INFO, WARN, ERROR or FATAL.
        context: where the event belongs, if not to what is current.
    """
    # Asked the way the API's own logger does; without a provider its record would be made in vain.
    if not _sinks and _internal._LOGGER_PROVIDER is None:  # noqa: SLF001
        return
    with safely("events"):
        clean = clean_attributes(attributes)
        text = clean_text(body)
        timestamp = time.time_ns()
        _otel_logger.emit(
            timestamp=timestamp,
            context=context,
            severity_number=severity,
            severity_text=severity.name,
            body=text,
            attributes=clean,
            event_name=event.name,
        )
        if _sinks:
            span = trace.get_current_span(context).get_span_context()
            trace_id, span_id = (f"{span.trace_id:032x}", f"{span.span_id:016x}") if span.is_valid else ("", "")
            emitted = EmittedEvent(event.name, severity, text, clean, timestamp, trace_id, span_id)
            for sink in _sinks:
                with safely("event sink"):
                    sink(emitted)


def _after_fork_in_child() -> None:
    global _sinks_lock  # noqa: PLW0603 - another thread of the parent may have held it; that thread does not exist here
    _sinks_lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)
