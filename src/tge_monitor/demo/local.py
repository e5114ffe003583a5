"""The observer that needs no server: an OTLP receiver in this process."""

from __future__ import annotations

from spanguard import semconv
from spanguard.testing import CapturedEvent, CapturedSpan, Signals
from tge_monitor.demo.evidence import ALERT, BREAKER, Reading, SpanNode, StandingAlert, Trace, Transition

_SOURCE = "OTLP, received by this process"


class LocalObserver:
    """Reads what the application exported over OTLP to the receiver."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals

    def first_guarded_call(self) -> Trace | None:
        """Return the trace of the first guard span."""
        guards = [span for span in self._signals.spans() if span.name.startswith(f"{semconv.GUARD_SPAN.name} ")]
        return self.trace(guards[0].trace_id) if guards else None

    def transition(self, to: str) -> Transition | None:
        """Return the latest change of the breaker to this state."""
        for event in reversed(self._signals.events(semconv.BREAKER_STATE_CHANGE_EVENT.name)):
            attributes = event.attributes
            if attributes[semconv.POLICY_NAME.key] == BREAKER and attributes[semconv.BREAKER_TO.key] == to:
                return Transition(to, attributes[semconv.BREAKER_REASON.key], attributes, event.trace_id, _SOURCE)
        return None

    def trace(self, trace_id: str) -> Trace | None:
        """Return a trace once its root span has ended."""
        spans = [span for span in self._signals.spans() if span.trace_id == trace_id]
        if not any(span.parent_id == "" for span in spans):
            return None
        return Trace(trace_id, tuple(_node(span) for span in spans), _SOURCE)

    def rejected_calls(self) -> Reading | None:
        """Return how many calls the open breaker refused."""
        wanted = {semconv.POLICY_NAME.key: BREAKER, semconv.BREAKER_OUTCOME.key: "rejected"}
        value = self._signals.value(semconv.BREAKER_CALLS_METRIC.name, wanted)
        return Reading(value, f"{semconv.BREAKER_CALLS_METRIC.name}, outcome rejected") if value else None

    def alert(self) -> StandingAlert | None:
        """Return the alert while its latest event says that it fires."""
        event = self._last_alert_event()
        if event is None or event.attributes[semconv.ALERT_STATE.key] != "firing":
            return None
        attributes = event.attributes
        return StandingAlert(
            attributes[semconv.ALERT_SEVERITY.key], attributes[semconv.ALERT_SUMMARY.key], event.trace_id, _SOURCE
        )

    def alert_is_resolved(self) -> Reading | None:
        """Tell whether the alert's latest event resolved it, and the metric of standing alerts fell."""
        event = self._last_alert_event()
        standing = self._signals.value(semconv.ALERT_ACTIVE_METRIC.name, {semconv.ALERT_NAME.key: ALERT})
        if event is None or event.attributes[semconv.ALERT_STATE.key] != "resolved" or standing:
            return None
        return Reading(standing, f"{semconv.ALERT_EVENT.name} resolved, {semconv.ALERT_ACTIVE_METRIC.name}")

    def _last_alert_event(self) -> CapturedEvent | None:
        events = self._signals.events(semconv.ALERT_EVENT.name)
        return next((e for e in reversed(events) if e.attributes[semconv.ALERT_NAME.key] == ALERT), None)


def _node(span: CapturedSpan) -> SpanNode:
    return SpanNode(
        span.name, span.span_id, span.parent_id, span.start, span.end, span.status == "error", span.attributes
    )
