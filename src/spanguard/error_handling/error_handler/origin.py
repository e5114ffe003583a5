"""In which trace an error was raised: when it surfaces, the spans that it went through have ended."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import weakref
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

_ORIGIN: Final = "__spanguard_origin__"

_watched: weakref.WeakSet[TracerProvider] = weakref.WeakSet()
_lock = threading.Lock()


def watch_spans() -> None:
    """Have every error remember the first span that it ended, from now on; nothing if no SDK provider is set."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        return
    with _lock:
        if provider in _watched:
            return
        _watched.add(provider)
    provider.add_span_processor(_OriginMarker())


def context_of(error: BaseException) -> Context | None:
    """Return the context of the span in which an error was raised; None, for the current one, if that is not known."""
    origin = getattr(error, _ORIGIN, None)
    if origin is None:
        return None
    trace_id, span_id, flags = origin
    span = SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(flags))
    return trace.set_span_in_context(NonRecordingSpan(span))


class _OriginMarker(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        error = sys.exc_info()[1]
        context = span.context
        if error is None or context is None or hasattr(error, _ORIGIN):
            return
        # A class may take no attributes: then its trace stays unknown. Plain numbers can be pickled and copied with it.
        with contextlib.suppress(Exception):
            setattr(error, _ORIGIN, (context.trace_id, context.span_id, int(context.trace_flags)))


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it; that thread does not exist here
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)
