"""Events: one event, many sinks, and nothing that could break an export or a call."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber

from spanguard import semconv
from spanguard.telemetry import EmittedEvent, add_sink, emit, log_sink, remove_sink
from spanguard.telemetry.sanitize import MAX_TEXT, clean_attributes, clean_text
from spanguard.testing import Signals

EVENT = semconv.ALERT_EVENT


@pytest.fixture
def sunk() -> Iterator[list[EmittedEvent]]:
    """What a sink of the application's own got."""
    events: list[EmittedEvent] = []
    sink = events.append
    add_sink(sink)
    yield events
    remove_sink(sink)


def test_an_event_is_a_log_record_in_the_current_trace(signals: Signals) -> None:
    with trace.get_tracer("test").start_as_current_span("work") as span:
        emit(EVENT, {semconv.ALERT_NAME.key: "A"}, body="it happened", severity=SeverityNumber.WARN)
    (event,) = signals.events(EVENT.name)
    context = span.get_span_context()
    assert (event.trace_id, event.span_id) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")
    assert (event.body, event.severity, event.attributes) == ("it happened", "WARN", {semconv.ALERT_NAME.key: "A"})


def test_an_event_can_be_placed_in_an_earlier_trace(signals: Signals) -> None:
    with trace.get_tracer("test").start_as_current_span("work") as span:
        context = trace.set_span_in_context(span)
    emit(EVENT, {}, body="later", context=context)
    assert signals.events(EVENT.name)[0].trace_id == f"{span.get_span_context().trace_id:032x}"


def test_a_sink_gets_the_event_with_its_trace(signals: Signals, sunk: list[EmittedEvent]) -> None:
    with trace.get_tracer("test").start_as_current_span("work"):
        emit(EVENT, {semconv.ALERT_NAME.key: "A"}, body="it happened")
    assert [(e.name, e.body, e.trace_id) for e in sunk] == [
        (EVENT.name, "it happened", signals.spans("work")[0].trace_id)
    ]


def test_a_removed_sink_gets_nothing(sunk: list[EmittedEvent]) -> None:
    events: list[EmittedEvent] = []
    sink = events.append
    add_sink(sink)
    remove_sink(sink)
    emit(EVENT, {}, body="it happened")
    assert (len(events), len(sunk)) == (0, 1)


def test_a_raising_sink_is_counted_and_the_others_still_get_the_event(
    signals: Signals, sunk: list[EmittedEvent]
) -> None:
    def broken(event: EmittedEvent) -> None:
        raise LookupError(event.name)

    add_sink(broken)
    try:
        emit(EVENT, {}, body="one")
        emit(EVENT, {}, body="two")
    finally:
        remove_sink(broken)
    assert [event.body for event in sunk] == ["one", "two"]
    labels = {semconv.COMPONENT.key: "event sink", semconv.ERROR_TYPE.key: "LookupError"}
    assert signals.increase(semconv.TELEMETRY_ERRORS_METRIC.name, labels) == 2


def test_the_log_sink_writes_to_the_python_logger(caplog: pytest.LogCaptureFixture) -> None:
    add_sink(log_sink)
    try:
        with caplog.at_level(logging.INFO, "spanguard.events"):
            emit(EVENT, {}, body="it happened", severity=SeverityNumber.ERROR)
    finally:
        remove_sink(log_sink)
    assert [(r.name, r.levelname, r.getMessage()) for r in caplog.records] == [
        ("spanguard.events", "ERROR", "it happened")
    ]


def test_attributes_that_are_none_are_left_out() -> None:
    assert clean_attributes({"a": None, "b": 0, "c": ""}) == {"b": 0, "c": ""}


@given(st.text(st.characters(), max_size=MAX_TEXT * 2))
def test_clean_text_can_always_be_encoded_and_is_stable(text: str) -> None:
    cleaned = clean_text(text)
    cleaned.encode("utf-8")
    assert len(cleaned) <= MAX_TEXT
    assert clean_text(cleaned) == cleaned


@given(st.text(st.characters(), max_size=20), st.integers(-(2**80), 2**80))
def test_hostile_values_reach_the_exporter_encoded(text: str, number: int) -> None:
    # `capture` encodes to OTLP, as an exporter does: what it could not encode would drop a whole batch.
    from spanguard.testing import capture  # noqa: PLC0415 - a fixture would not be renewed for each example

    with capture() as signals:
        emit(EVENT, {"text": text, "number": number}, body=text)
        (event,) = signals.events(EVENT.name)
    assert event.attributes["number"] == (number if -(2**63) <= number < 2**63 else float(number))
