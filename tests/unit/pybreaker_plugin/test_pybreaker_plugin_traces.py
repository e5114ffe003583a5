"""What the plugin adds to the traces of an application with pybreaker objects."""

from __future__ import annotations

import pybreaker
from opentelemetry import trace

from spanguard import semconv
from spanguard.testing import Signals
from unit.pybreaker_plugin.theirs import EVENT, attempt


def test_a_failed_call_is_a_child_span_and_marks_the_current_one(
    breaker: pybreaker.CircuitBreaker, signals: Signals
) -> None:
    with trace.get_tracer("test").start_as_current_span("request"):
        attempt(breaker)
    child, request = signals.spans()
    assert (child.name, child.status, child.parent_id) == ("call theirs", "error", request.span_id)
    assert request.start <= child.start < child.end <= request.end
    expected = {
        semconv.POLICY_NAME.key: "theirs",
        semconv.BREAKER_OUTCOME.key: "failure",
        semconv.BREAKER_STATE.key: "closed",
    }
    assert dict(child.attributes) == {**expected, semconv.ERROR_TYPE.key: "TimeoutError"}
    assert (dict(request.attributes), request.status) == (expected, "unset")


def test_a_refused_call_is_a_child_span(breaker: pybreaker.CircuitBreaker, signals: Signals) -> None:
    breaker.open()
    with trace.get_tracer("test").start_as_current_span("request"):
        attempt(breaker)
    child, _ = signals.spans()
    assert (child.name, child.attributes[semconv.BREAKER_OUTCOME.key]) == ("call theirs", "rejected")


def test_without_a_current_span_there_is_none(breaker: pybreaker.CircuitBreaker, signals: Signals) -> None:
    attempt(breaker, times=3)
    assert signals.spans() == []


def test_an_event_is_in_the_trace_that_caused_it(breaker: pybreaker.CircuitBreaker, signals: Signals) -> None:
    with trace.get_tracer("test").start_as_current_span("request") as request:
        attempt(breaker, times=2)
    (event,) = signals.events(EVENT)
    assert event.trace_id == f"{request.get_span_context().trace_id:032x}"


def test_no_signal_holds_the_errors_message(breaker: pybreaker.CircuitBreaker, signals: Signals) -> None:
    with trace.get_tracer("test").start_as_current_span("request"):
        attempt(breaker, times=3)
    assert "secret" not in repr([signals.spans(), signals.events(), signals.points()])
