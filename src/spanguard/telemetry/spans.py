"""The one span of a guarded call, and the child spans of what took time. Made only where a tracer records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from typing import Any, Final, Self

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from spanguard import semconv
from spanguard._version import __version__
from spanguard.telemetry.error_types import error_type
from spanguard.telemetry.internal import note_failure

_tracer: Final = trace.get_tracer(semconv.SCHEMA_SCOPE, __version__)
_current: ContextVar[GuardSpan | None] = ContextVar("spanguard.guard_span", default=None)


def has_provider() -> bool:
    """Tell whether a tracer provider is set: without one no span is ever recorded. The cheapest question there is."""
    # The public getter asks the environment on each call, which costs more than a whole breaker call.
    return trace._TRACER_PROVIDER is not None  # noqa: SLF001


def _may_have_children(parent: trace.Span) -> bool:
    """Tell whether a span below this one could be recorded: not below one that was not sampled; a root is up to the sampler."""
    return parent.is_recording() or not parent.get_span_context().is_valid


SUCCESS: Final = "success"
_OF_THE_OWNER: Final = (semconv.POLICY_NAME.key, semconv.OUTCOME.key)


def initial_attributes(
    policy: str, more: Mapping[semconv.Attribute, str | float | bool] | None = None
) -> dict[str, str | float | bool]:
    """Return the attributes that a guard span begins with: it is a success until `GuardSpan.end` says otherwise."""
    return {
        semconv.POLICY_NAME.key: policy,
        semconv.OUTCOME.key: SUCCESS,
        **{attribute.key: value for attribute, value in (more or {}).items()},
    }


class GuardSpan:
    """The span of one guarded call; policies stacked on the same operation share the outermost one's.

    Nothing here raises: a span that cannot be made, marked or ended costs the trace, not the call.
    """

    __slots__ = ("_attached", "_marker", "_operation", "_owner", "span")

    def __init__(self, span: trace.Span, operation: object, *, owner: bool) -> None:
        self.span = span
        self._operation = operation
        self._owner = owner
        self._attached: Token[otel_context.Context] | None = None
        self._marker: Token[GuardSpan | None] | None = None

    def __enter__(self) -> Self:
        """Make the span current, so that what the operation does becomes its child."""
        if self._owner:
            self._attached = otel_context.attach(trace.set_span_in_context(self.span))
            self._marker = _current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Make the former span current again; `end` ends this one."""
        attached, marker = self._attached, self._marker
        if attached is None or marker is None:
            return
        self._attached = self._marker = None
        # A block may be left in another context than it was entered in; that one has nothing to make current again.
        try:
            _current.reset(marker)
            otel_context.detach(attached)
        except ValueError:
            pass  # `contextlib.suppress` would cost as much as the two calls.

    def set(self, attribute: semconv.Attribute, value: str | float | bool) -> None:
        """Write a registered attribute."""
        self.span.set_attribute(attribute.key, value)

    def end(self, outcome: str = SUCCESS, error: BaseException | None = None) -> None:
        """End the span with the outcome the caller saw. An inner policy of a shared span leaves that to the outermost."""
        if not self._owner:
            return
        try:
            if outcome != SUCCESS:
                self.span.set_attribute(semconv.OUTCOME.key, outcome)
            if error is not None:
                kind = error_type(error)
                self.span.set_attribute(semconv.ERROR_TYPE.key, kind)
                # The message may hold a caller's data: the class alone says enough, and costs 1/20 of a stack trace.
                self.span.set_status(Status(StatusCode.ERROR, kind))
            self.span.end()
        except Exception as failure:  # noqa: BLE001 - telemetry never breaks the call
            note_failure("spans", failure)


def start_guard_span(
    policy: str, operation: object, attributes: Mapping[str, str | float | bool] | None = None
) -> GuardSpan | None:
    """Start (or join) the span of a guarded call; None where nothing records.

    Args:
        policy: the guard's name.
        operation: what is guarded, compared by identity: the innermost function under all decorators (`root_of`).
        attributes: what the span is to begin with, as `initial_attributes` made it; a guard keeps it ready, since
            each attribute written later costs a tenth of a whole span.
    """
    try:
        if not has_provider():
            return None
        # Looked up once and handed on: the SDK would look it up four times.
        context = otel_context.get_current()
        parent = trace.get_current_span(context)
        if not _may_have_children(parent):
            return None
        current = _current.get()
        if current is not None and current._operation is operation and parent is current.span:  # noqa: SLF001
            shared = GuardSpan(current.span, operation, owner=False)
            if attributes is not None:
                current.span.set_attributes(_without_the_owners(attributes))
            return shared
        span = _tracer.start_span(
            f"{semconv.GUARD_SPAN.name} {policy}",
            context,
            kind=SpanKind.INTERNAL,
            attributes=attributes if attributes is not None else initial_attributes(policy),
            record_exception=False,
            set_status_on_exception=False,
        )
    except Exception as failure:  # noqa: BLE001 - telemetry never breaks the call
        note_failure("spans", failure)
        return None
    return GuardSpan(span, operation, owner=True)


def start_child_span(
    entry: semconv.Span, policy: str, operation: object, attributes: Mapping[semconv.Attribute, str | float | bool]
) -> GuardSpan | None:
    """Start a child of the current span for one more run of the operation; None where that does not record.

    Policies below that guard the same operation share it, as they share the span of the first run.
    """
    try:
        if not trace.get_current_span().is_recording():
            return None
        span = _tracer.start_span(
            f"{entry.name} {policy}",
            kind=SpanKind.INTERNAL,
            attributes=initial_attributes(policy, attributes),
            record_exception=False,
            set_status_on_exception=False,
        )
    except Exception as failure:  # noqa: BLE001 - telemetry never breaks the call
        note_failure("spans", failure)
        return None
    return GuardSpan(span, operation, owner=True)


def add_child(
    entry: semconv.Span,
    policy: str,
    attributes: dict[str, str | float | bool],
    *,
    start_time: int,
    end_time: int | None = None,
    error: BaseException | None = None,
) -> None:
    """Add a finished child span under the current one, if that records; never a root.

    Args:
        entry: the span's entry in the registry.
        policy: the guard's name.
        attributes: registered keys.
        start_time: nanoseconds since the Unix epoch.
        end_time: the same; now, if left out.
        error: marks the span as failed.
    """
    try:
        if not trace.get_current_span().is_recording():
            return
        span = _tracer.start_span(
            f"{entry.name} {policy}",
            kind=SpanKind.INTERNAL,
            attributes={semconv.POLICY_NAME.key: policy, **attributes},
            start_time=start_time,
            record_exception=False,
            set_status_on_exception=False,
        )
        if error is not None:
            kind = error_type(error)
            span.set_attribute(semconv.ERROR_TYPE.key, kind)
            span.set_status(Status(StatusCode.ERROR, kind))
        span.end(end_time)
    except Exception as failure:  # noqa: BLE001 - telemetry never breaks the call
        note_failure("spans", failure)


def annotate(attributes: Mapping[str, str | float | bool]) -> None:
    """Write registered attributes on the current span, if it records. The span of a guard keeps its own name and outcome."""
    try:
        span = trace.get_current_span()
        if not span.is_recording():
            return
        guard = _current.get()
        if guard is not None and guard.span is span:
            attributes = _without_the_owners(attributes)
        span.set_attributes(attributes)
    except Exception as failure:  # noqa: BLE001 - telemetry never breaks the call
        note_failure("spans", failure)


def _without_the_owners(attributes: Mapping[str, str | float | bool]) -> dict[str, str | float | bool]:
    return {key: value for key, value in attributes.items() if key not in _OF_THE_OWNER}


def root_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what stands under all decorators that kept `__wrapped__`: the identity by which stacked policies meet."""
    while (inner := getattr(function, "__wrapped__", None)) is not None:
        function = inner
    return function
