"""The signals of an error."""

from __future__ import annotations

from typing import Final

from spanguard.semconv.common import ERROR_TYPE
from spanguard.semconv.model import Attribute, Event, Metric, MetricKind, Stability

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
