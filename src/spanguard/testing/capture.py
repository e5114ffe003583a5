"""`capture()`: the signals of a block of code, caught in the process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry import _logs, metrics, trace
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from spanguard.telemetry import _sdk
from spanguard.testing.signals import Signals

_lock = threading.Lock()
_captures: tuple[Signals, ...] = ()
_reader: InMemoryMetricReader | None = None


@contextmanager
def capture() -> Iterator[Signals]:
    """Catch the spans, events and metrics that this process emits inside the block.

    OpenTelemetry's providers can be set only once in a process: the first call joins those that are there, and sets
    SDK providers without exporters for the others. Everything passes through the OTLP encoding, so a value
    that could not be exported fails here too.

    """
    global _captures  # noqa: PLW0603 - the captures under way; replaced whole
    with _lock:
        _install()
        signals = Signals(_collect)
        _captures = (*_captures, signals)
    signals.mark_start()
    try:
        yield signals
    finally:
        with _lock:
            _captures = tuple(other for other in _captures if other is not signals)


def _install() -> None:
    global _reader  # noqa: PLW0603 - one reader for the process
    if _reader is not None:
        return
    if _sdk.current_provider("metrics") is None:
        metrics.set_meter_provider(MeterProvider(shutdown_on_exit=False))
    if _sdk.current_provider("traces") is None:
        trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
    if _sdk.current_provider("logs") is None:
        _logs.set_logger_provider(LoggerProvider(shutdown_on_exit=False))
    _reader = InMemoryMetricReader()
    meters, tracers, loggers = metrics.get_meter_provider(), trace.get_tracer_provider(), _logs.get_logger_provider()
    if isinstance(meters, MeterProvider):
        meters.add_metric_reader(_reader)
    if isinstance(tracers, TracerProvider):
        tracers.add_span_processor(SimpleSpanProcessor(_SpanTap()))
    if isinstance(loggers, LoggerProvider):
        loggers.add_log_record_processor(SimpleLogRecordProcessor(_LogTap()))


def _collect() -> None:
    with _lock:
        data = _reader.get_metrics_data() if _reader is not None else None
        if data is not None:
            request = encode_metrics(data)
            for signals in _captures:
                signals.add_metrics(request)


class _SpanTap(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if _captures:
            request = encode_spans(spans)
            for signals in _captures:
                signals.add_traces(request)
        return SpanExportResult.SUCCESS


class _LogTap(LogRecordExporter):
    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        if _captures:
            request = encode_logs(batch)
            for signals in _captures:
                signals.add_logs(request)
        return LogRecordExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 0) -> bool:  # noqa: ARG002 - the signature is the base class's
        return True

    def shutdown(self) -> None:
        """Nothing is held."""


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it; that thread does not exist here
    _lock = threading.Lock()
    for signals in _captures:
        signals.start_again_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
