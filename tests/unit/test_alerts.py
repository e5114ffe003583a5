"""Application alerts: raised once, sent again while they stand, resolved for good."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from opentelemetry import trace

from spanguard import SpanguardError, semconv
from spanguard.monitoring import Alert, AlertManager, AlertState
from spanguard.testing import CapturedEvent, FakeClock, Signals

EVENT = semconv.ALERT_EVENT.name
ACTIVE = semconv.ALERT_ACTIVE_METRIC.name
STATE = semconv.ALERT_STATE.key


@pytest.fixture
def manager(clock: FakeClock) -> Iterator[AlertManager]:
    manager = AlertManager(clock=clock)
    yield manager
    manager.reset()


def states(signals: Signals) -> list[str]:
    return [event.attributes[STATE] for event in signals.events(EVENT)]


def only(signals: Signals) -> CapturedEvent:
    (event,) = signals.events(EVENT)
    return event


def test_a_raised_alert_is_an_event_with_all_that_the_collector_needs(
    manager: AlertManager, signals: Signals, clock: FakeClock
) -> None:
    with trace.get_tracer("test").start_as_current_span("work") as span:
        alert = manager.raise_alert(
            "DependencyUnavailable",
            "critical",
            summary="twitter_api is unavailable",
            description="5 failures in a row",
            labels={"dependency": "twitter_api"},
            runbook_url="https://example.org/runbook",
        )
    event = only(signals)
    assert event.attributes == {
        "spanguard.alert.name": "DependencyUnavailable",
        "spanguard.alert.severity": "critical",
        "spanguard.alert.state": "firing",
        "spanguard.alert.key": alert.key,
        "spanguard.alert.starts_at": int(clock.time() * 1e9),
        "spanguard.alert.resend_interval": 60.0,
        "spanguard.alert.summary": "twitter_api is unavailable",
        "spanguard.alert.description": "5 failures in a row",
        "spanguard.alert.runbook_url": "https://example.org/runbook",
        "spanguard.alert.label.dependency": "twitter_api",
    }
    assert event.trace_id == f"{span.get_span_context().trace_id:032x}"
    assert event.severity == "ERROR"


def test_the_same_alert_again_is_not_sent_twice(manager: AlertManager, signals: Signals, clock: FakeClock) -> None:
    first = manager.raise_alert("A", summary="s")
    clock.advance(5)
    assert manager.raise_alert("A", summary="s") is first
    assert states(signals) == ["firing"]


def test_news_about_a_standing_alert_keep_its_beginning_and_trace(
    manager: AlertManager, signals: Signals, clock: FakeClock
) -> None:
    with trace.get_tracer("test").start_as_current_span("work"):
        first = manager.raise_alert("A", summary="one failure")
    clock.advance(5)
    second = manager.raise_alert("A", summary="two failures")
    assert (second.starts_at, second.key) == (first.starts_at, first.key)
    assert len({event.trace_id for event in signals.events(EVENT)}) == 1


def test_another_severity_resolves_the_former_alert(manager: AlertManager, signals: Signals) -> None:
    manager.raise_alert("A", "warning", summary="s")
    manager.raise_alert("A", "critical", summary="s")
    sent = [(e.attributes[STATE], e.attributes[semconv.ALERT_SEVERITY.key]) for e in signals.events(EVENT)]
    assert sent == [("firing", "warning"), ("resolved", "warning"), ("firing", "critical")]
    assert [alert.severity for alert in manager.active()] == ["critical"]


def test_labels_tell_alerts_of_one_name_apart(manager: AlertManager) -> None:
    one = manager.raise_alert("A", summary="s", labels={"x": "1"})
    two = manager.raise_alert("A", summary="s", labels={"x": "2"})
    assert one.key != two.key
    assert manager.resolve_alert("A", labels={"x": "1"})
    assert manager.active() == (two,)


def test_a_resolved_alert_is_sent_once_in_the_trace_that_raised_it(manager: AlertManager, signals: Signals) -> None:
    with trace.get_tracer("test").start_as_current_span("work"):
        manager.raise_alert("A", summary="s")
    assert manager.resolve_alert("A")
    assert not manager.resolve_alert("A")
    assert states(signals) == ["firing", "resolved"]
    assert len({event.trace_id for event in signals.events(EVENT)}) == 1


def test_a_standing_alert_is_counted_and_a_resolved_one_is_not(manager: AlertManager, signals: Signals) -> None:
    labels = {semconv.ALERT_NAME.key: "Counted", semconv.ALERT_SEVERITY.key: "info"}
    manager.raise_alert("Counted", "info", summary="s")
    assert signals.value(ACTIVE, labels) == 1
    manager.resolve_alert("Counted")
    assert signals.value(ACTIVE, labels) == 0


def test_a_standing_alert_is_sent_again_at_the_interval(signals: Signals) -> None:
    manager = AlertManager(resend_interval=0.05)
    manager.raise_alert("A", summary="s")
    signals.wait_for(lambda s: len(s.events(EVENT)) >= 3, what="two more sendings")
    manager.resolve_alert("A")
    assert states(signals)[-1] == "resolved"
    assert len({event.attributes["spanguard.alert.starts_at"] for event in signals.events(EVENT)}) == 1


def test_the_sending_ends_with_the_last_alert_and_begins_again_with_the_next(signals: Signals) -> None:
    manager = AlertManager(resend_interval=0.02)
    for name in ("A", "B"):
        manager.raise_alert(name, summary="s")
        thread = manager._resender
        assert thread is not None
        manager.resolve_alert(name)
        thread.join(timeout=10)
        assert not thread.is_alive()


def test_callbacks_see_what_was_raised_and_resolved(manager: AlertManager) -> None:
    seen: list[Alert] = []
    manager.add_callback(seen.append)
    manager.raise_alert("A", summary="s")
    manager.resolve_alert("A")
    assert [alert.state for alert in seen] == [AlertState.FIRING, AlertState.RESOLVED]


def test_a_raising_callback_does_not_reach_who_raised_the_alert(manager: AlertManager, signals: Signals) -> None:
    def broken(alert: Alert) -> None:
        raise KeyError(alert.name)

    seen: list[Alert] = []
    manager.add_callback(broken)
    manager.add_callback(seen.append)
    manager.raise_alert("A", summary="s")
    assert len(seen) == 1
    labels = {semconv.COMPONENT.key: "alert callback", semconv.ERROR_TYPE.key: "KeyError"}
    assert signals.increase(semconv.TELEMETRY_ERRORS_METRIC.name, labels) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"severity": "fatal"}, "alert severity 'fatal' is not known; use one of: critical, warning, info."),
        ({"labels": {"alertname": "x"}}, "alert label 'alertname' is set by spanguard itself; choose another name."),
        (
            {"labels": {"a-b": "x"}},
            "alert label 'a-b' is not a Prometheus label name: letters, digits and _, no digit first.",
        ),
    ],
)
def test_what_alertmanager_would_refuse_is_refused_at_once(
    manager: AlertManager, change: dict[str, object], message: str
) -> None:
    with pytest.raises(SpanguardError) as raised:
        manager.raise_alert("A", **{"summary": "s", **change})  # type: ignore[arg-type]
    assert str(raised.value) == message
    assert manager.active() == ()


def test_an_interval_that_is_not_above_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="resend_interval is 0; it must be above 0 seconds"):
        AlertManager(resend_interval=0)


def test_a_forked_child_starts_without_alerts_and_can_raise_its_own(manager: AlertManager) -> None:
    manager.raise_alert("A", summary="s")
    pid = os.fork()
    if pid == 0:
        inherited = len(manager.active())
        manager.raise_alert("B", summary="s")
        os._exit(inherited * 10 + len(manager.active()))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert [alert.name for alert in manager.active()] == ["A"]
