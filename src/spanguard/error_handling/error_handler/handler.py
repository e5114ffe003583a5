"""The global error handler: every error that nobody caught, and those that are reported, as signals."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self

from opentelemetry._logs import SeverityNumber
from opentelemetry.context import Context

from spanguard import semconv
from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.error_handling.error_handler.hooks import Hooks
from spanguard.error_handling.error_handler.origin import context_of, watch_spans
from spanguard.error_handling.error_handler.record import (
    ErrorCallback,
    ErrorRecord,
    ErrorSeverity,
    ErrorSource,
    ErrorStats,
)
from spanguard.error_handling.error_handler.stacktrace import place_of, stack_of
from spanguard.error_handling.error_handler.storms import Storms, Summary
from spanguard.errors import ConfigurationError
from spanguard.forms import wrong_seconds
from spanguard.telemetry import COUNTS, emit, error_type
from spanguard.telemetry.internal import safely
from spanguard.telemetry.redaction import Redactor

STORM_WINDOW: Final = 60.0
"""Seconds in which equal errors are only counted: as long as the usual interval of a metrics export."""

_COMPONENT: Final = "error handler"
_NANOSECONDS: Final = 1_000_000_000

_SEVERITY_OF: Final = {
    ErrorSource.MAIN_THREAD: ErrorSeverity.CRITICAL,
    ErrorSource.THREAD: ErrorSeverity.ERROR,
    ErrorSource.ASYNCIO: ErrorSeverity.ERROR,
    ErrorSource.UNRAISABLE: ErrorSeverity.WARNING,
}
_SEVERITY_NUMBERS: Final = {
    ErrorSeverity.WARNING: SeverityNumber.WARN,
    ErrorSeverity.ERROR: SeverityNumber.ERROR,
    ErrorSeverity.CRITICAL: SeverityNumber.FATAL,
}


@dataclass(frozen=True, slots=True)
class _Sample:
    """What is said of an error: the first of its kind stands for the others, without keeping its frames alive."""

    error_class: type[BaseException]
    error_type: str
    severity: ErrorSeverity
    handled: bool
    source: ErrorSource
    stacktrace: str
    message: str | None
    context: Context | None


class ErrorHandler:
    """Turns errors into one log record each, with type, stack and trace, into counts, and into calls of callbacks.

    `install` puts it under `sys.excepthook`, `threading.excepthook`, `sys.unraisablehook` and the running event loop's
    exception handler; what stood there before is called afterwards, as ever. Equal errors (class, place, source,
    severity) within `storm_window` become one summary with their number and the times of the first and the last.

    Safe from threads and tasks. As a context manager it is installed for the block.

    Args:
        storm_window: seconds in which errors equal to the first are only counted.
        keep_messages: say the error's text as `exception.message`, redacted and cut to 500 characters. Off, since an
            error's text often holds what the user typed.
        clock: the time.

    Raises:
        ConfigurationError: `storm_window` is out of range.
    """

    def __init__(
        self, *, storm_window: float = STORM_WINDOW, keep_messages: bool = False, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        if problem := wrong_seconds("storm_window", storm_window):
            raise ConfigurationError(f"error handler: {problem}")
        self._redactor = Redactor() if keep_messages else None
        self._clock = clock
        # Re-entrant: a garbage collection inside the lock may bring an unraisable error.
        self._lock = threading.RLock()
        self._storms: Storms[_Sample] = Storms(storm_window)
        self._summariser: threading.Thread | None = None
        self._stats: dict[str, ErrorStats] = {}
        self._callbacks: tuple[tuple[ErrorCallback, tuple[type[BaseException], ...], ErrorSeverity], ...] = ()
        self._hooks = Hooks(self._surfaced)
        self._is_installed = False
        _handlers.add(self)

    def install(self) -> None:
        """Put the hooks in place; a second call does nothing. Telemetry should be set up before.

        Within a coroutine the running loop is taken as well; see `watch_loop` for others.
        """
        with self._lock:
            if not self._is_installed:
                self._is_installed = True
                self._hooks.put()
                atexit.register(self.flush)
        with safely(_COMPONENT):
            watch_spans()
        try:
            self.watch_loop(asyncio.get_running_loop())
        except RuntimeError:
            return

    def watch_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take the errors of an event loop's tasks and callbacks, until `uninstall`. Call it in that loop's thread."""
        with self._lock:
            self._hooks.put_on_loop(loop)

    def uninstall(self) -> None:
        """Put back what stood there before `install`, and say the summaries that were to come."""
        with self._lock:
            if self._is_installed:
                self._is_installed = False
                self._hooks.take_away()
                atexit.unregister(self.flush)
        self.flush()

    def __enter__(self) -> Self:
        self.install()
        return self

    def __exit__(self, *_: object) -> None:
        self.uninstall()

    def handle(
        self, error: BaseException, *, severity: ErrorSeverity = ErrorSeverity.ERROR, handled: bool = True
    ) -> None:
        """Report an error that the application caught. Never raises.

        Args:
            error: the exception.
            severity: how bad it is.
            handled: whether the application went on as if nothing had happened.
        """
        self._take(error, ErrorSource.APPLICATION, severity, handled=handled)

    def add_callback(
        self,
        callback: ErrorCallback,
        *,
        types: type[BaseException] | tuple[type[BaseException], ...] = BaseException,
        min_severity: ErrorSeverity = ErrorSeverity.WARNING,
    ) -> None:
        """Call back for each record: each new error, and each summary of a storm.

        Args:
            callback: takes the record, in the thread in which the error surfaced.
            types: only errors of these classes and their subclasses.
            min_severity: only errors at least this bad.
        """
        wanted = types if isinstance(types, tuple) else (types,)
        with self._lock:
            self._callbacks = (*self._callbacks, (callback, wanted, min_severity))

    def remove_callback(self, callback: ErrorCallback) -> None:
        """Undo `add_callback`; one that is not there is no error."""
        with self._lock:
            self._callbacks = tuple(known for known in self._callbacks if known[0] != callback)

    def stats(self) -> Mapping[str, ErrorStats]:
        """Return what was seen, by type as it stands in signals."""
        with self._lock:
            return MappingProxyType(dict(self._stats))

    def flush(self) -> None:
        """Say the summaries of the storms under way now."""
        with self._lock:
            summaries = self._storms.pop_all()
        self._say_summaries(summaries)

    def _surfaced(self, error: BaseException, source: ErrorSource) -> None:
        self._take(error, source, _SEVERITY_OF[source], handled=False)

    def _take(self, error: BaseException, source: ErrorSource, severity: ErrorSeverity, *, handled: bool) -> None:
        with safely(_COMPONENT):
            kind, at, now = error_type(error), self._clock.time(), self._clock.monotonic()
            COUNTS.add(semconv.ERRORS_METRIC, {semconv.ERROR_TYPE.key: kind, semconv.ERROR_HANDLED.key: handled})
            equal = (type(error), place_of(error), source, severity, handled)
            with self._lock:
                self._note(kind, at, handled=handled)
                ended = self._storms.pop_ended(now)
                is_new = not self._storms.count(equal, at=at)
            self._say_summaries(ended)
            if is_new:
                # Formatting a stack reads source files: outside the lock, and once a storm.
                sample = self._sample(error, source, severity, handled=handled)
                with self._lock:
                    is_new = self._storms.begin(equal, sample, at=at, now=now)
                if is_new:
                    self._say(Summary(sample, 1, at, at), error)
            if not is_new:
                self._start_summariser()

    def _sample(self, error: BaseException, source: ErrorSource, severity: ErrorSeverity, *, handled: bool) -> _Sample:
        return _Sample(
            error_class=type(error),
            error_type=error_type(error),
            severity=severity,
            handled=handled,
            source=source,
            stacktrace=stack_of(error),
            message=self._message_of(error),
            context=context_of(error),
        )

    def _note(self, kind: str, at: float, *, handled: bool) -> None:
        known = self._stats.get(kind) or ErrorStats(0, 0, at, at)
        self._stats[kind] = ErrorStats(known.handled + handled, known.unhandled + (not handled), known.first_at, at)

    def _start_summariser(self) -> None:
        with self._lock:
            if self._summariser is None or not self._summariser.is_alive():
                self._summariser = threading.Thread(
                    target=self._summarise, name="spanguard-error-summaries", daemon=True
                )
                self._summariser.start()

    def _summarise(self) -> None:
        """Say each summary when its window ends, as long as there is one to come."""
        while True:
            with self._lock:
                at = self._storms.next_summary_at()
                if at is None:
                    self._summariser = None
                    return
            self._clock.sleep(max(0.0, at - self._clock.monotonic()))
            with self._lock:
                ended = self._storms.pop_ended(self._clock.monotonic())
            self._say_summaries(ended)

    def _say_summaries(self, summaries: list[Summary[_Sample]]) -> None:
        for summary in summaries:
            self._say(summary, None)

    def _say(self, summary: Summary[_Sample], error: BaseException | None) -> None:
        sample = summary.sample
        handled = "handled" if sample.handled else "unhandled"
        where = sample.source.value.replace("_", " ")
        times = "" if summary.count == 1 else f", {summary.count} more of the same"
        emit(
            semconv.ERROR_EVENT,
            {
                semconv.ERROR_TYPE.key: sample.error_type,
                semconv.EXCEPTION_TYPE.key: sample.error_type,
                semconv.EXCEPTION_STACKTRACE.key: sample.stacktrace,
                semconv.EXCEPTION_MESSAGE.key: sample.message,
                semconv.ERROR_HANDLED.key: sample.handled,
                semconv.ERROR_SOURCE.key: sample.source.value,
                semconv.ERROR_COUNT.key: summary.count,
                semconv.ERROR_FIRST.key: int(summary.first_at * _NANOSECONDS),
                semconv.ERROR_LAST.key: int(summary.last_at * _NANOSECONDS),
            },
            body=f"{handled} {sample.error_type} ({where}){times}",
            severity=_SEVERITY_NUMBERS[sample.severity],
            context=sample.context,
        )
        record = ErrorRecord(
            error,
            sample.error_class,
            sample.error_type,
            sample.severity,
            sample.handled,
            sample.source,
            summary.count,
            summary.first_at,
            summary.last_at,
        )
        for callback, types, min_severity in self._callbacks:
            if issubclass(record.error_class, types) and record.severity >= min_severity:
                with safely("error callback"):
                    callback(record)

    def _message_of(self, error: BaseException) -> str | None:
        if self._redactor is None:
            return None
        with safely(_COMPONENT):  # an error's own __str__ may fail
            return self._redactor.text(str(error))
        return None

    def start_again_in_child(self) -> None:
        """Drop what threads of the parent held, and the summaries that are the parent's; spanguard does so after a fork."""
        self._lock = threading.RLock()
        self._summariser = None
        self._storms.pop_all()


_handlers: weakref.WeakSet[ErrorHandler] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for handler in list(_handlers):
        handler.start_again_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
