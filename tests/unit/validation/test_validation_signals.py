from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from opentelemetry import trace

from spanguard import semconv
from spanguard.telemetry import COUNTS, add_sink, remove_sink
from spanguard.testing import Signals
from spanguard.validation import (
    InputValidator,
    Problem,
    check,
    validate_integer,
    validate_list,
    validate_string,
)
from spanguard.validation import (
    signals as validation_signals,
)

CHECKS = semconv.VALIDATION_CHECKS_METRIC.name
ATTACK = "<script>alert(document.cookie)</script>"


def counted(signals: Signals, kind: str, outcome: str, threat: str = "none") -> float:
    return signals.increase(
        CHECKS,
        {
            semconv.VALIDATION_TYPE.key: kind,
            semconv.VALIDATION_OUTCOME.key: outcome,
            semconv.VALIDATION_THREAT.key: threat,
        },
    )


def test_each_validation_counts_once_by_what_became_of_it(signals: Signals) -> None:
    validate_integer("7")
    validate_integer(8)
    validate_integer("x")
    validate_string(ATTACK)
    validate_string(ATTACK, threats="block")
    validate_string("a\0")
    assert counted(signals, "integer", "valid") == 2
    assert counted(signals, "integer", "invalid") == 1
    assert counted(signals, "string", "valid", "xss") == 1
    assert counted(signals, "string", "threat", "xss") == 1
    assert counted(signals, "string", "valid") == 1


def test_a_list_counts_once_whatever_is_in_it(signals: Signals) -> None:
    validate_list(["a", ATTACK, "1' OR '1'='1' --"])
    assert (
        sum(point.value for point in signals.points(CHECKS) if point.attributes[semconv.VALIDATION_TYPE.key] == "list")
        >= 1
    )
    assert counted(signals, "list", "valid", "xss") + counted(signals, "list", "valid", "sql_injection") == 1


def test_a_threat_is_told_without_the_text(signals: Signals) -> None:
    validate_list(["a", ATTACK], of={"type": "string", "threats": "block"})
    [event] = signals.events(semconv.VALIDATION_THREAT_EVENT.name)
    assert event.severity == "WARN"
    assert event.attributes[semconv.VALIDATION_TYPE.key] == "list"
    assert event.attributes[semconv.VALIDATION_POLICY.key] == "block"
    assert event.attributes[semconv.VALIDATION_FAMILIES.key] == "xss"
    assert "script_tag" in str(event.attributes[semconv.VALIDATION_RULES.key]).split(",")
    assert event.attributes[semconv.VALIDATION_PATH.key] == "1"
    assert event.attributes[semconv.VALIDATION_LENGTH.key] == len(ATTACK)
    assert len(str(event.attributes[semconv.VALIDATION_DIGEST.key])) == 16
    assert "cookie" not in repr(event)


def test_a_list_full_of_attacks_is_told_ten_times(signals: Signals) -> None:
    validate_list([ATTACK] * 50)
    assert len(signals.events(semconv.VALIDATION_THREAT_EVENT.name)) == validation_signals.MAX_EVENTS


def test_nothing_is_told_of_an_input_that_is_merely_invalid(signals: Signals) -> None:
    validate_integer("x")
    assert signals.events(semconv.VALIDATION_THREAT_EVENT.name) == []


@pytest.fixture
def every_validation_takes_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "time", SimpleNamespace(perf_counter=itertools.count().__next__))


@pytest.mark.usefixtures("every_validation_takes_a_second")
def test_a_slow_validation_has_a_span_below_the_current_one(signals: Signals) -> None:
    with trace.get_tracer("test").start_as_current_span("request"):
        InputValidator(slow=1).validate("x", "integer")
        InputValidator(slow=1.1).validate("x", "integer")
    [span] = signals.spans("validate integer")
    [parent] = signals.spans("request")
    assert span.parent_id == parent.span_id
    assert span.attributes == {
        semconv.VALIDATION_TYPE.key: "integer",
        semconv.VALIDATION_OUTCOME.key: "invalid",
        semconv.VALIDATION_THREAT.key: "none",
    }
    assert span.end - span.start == 1_000_000_000


@pytest.mark.usefixtures("every_validation_takes_a_second")
def test_a_slow_validation_without_a_trace_around_it_makes_none(signals: Signals) -> None:
    InputValidator(slow=1).validate("x", "integer")
    assert signals.spans("validate integer") == []


def test_telemetry_that_fails_does_not_reach_the_caller(monkeypatch: pytest.MonkeyPatch, signals: Signals) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no telemetry today")

    monkeypatch.setattr(validation_signals, "emit", fail)
    assert not validate_string(ATTACK, threats="block")
    assert signals.increase(semconv.TELEMETRY_ERRORS_METRIC.name, {semconv.COMPONENT.key: "validation"}) == 1


def test_a_sink_that_fails_does_not_reach_the_caller() -> None:
    def sink(_: object) -> None:
        raise RuntimeError("no sink today")

    add_sink(sink)
    try:
        assert not validate_string(ATTACK, threats="block")
    finally:
        remove_sink(sink)


def test_threads_lose_no_count(signals: Signals) -> None:
    checked = InputValidator().prepare("integer")

    def work() -> None:
        for number in range(500):
            checked.validate(number)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted(signals, "integer", "valid") == 4_000


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_counts_from_zero(
    in_child: Callable[[Callable[[], object]], str],
) -> None:
    checked = InputValidator().prepare("boolean")
    checked.validate(True)

    def count() -> float:
        checked.validate(True)
        points = COUNTS.read(semconv.VALIDATION_CHECKS_METRIC)
        return sum(value for attributes, value in points if attributes[semconv.VALIDATION_TYPE.key] == "boolean")

    assert in_child(count) == "1"


def test_a_verdict_in_json_is_for_whoever_sent_the_input() -> None:
    result = validate_string(ATTACK, threats="block")
    told = result.to_json()
    assert '"code": "threat"' in told
    assert "script_tag" not in told
    assert result.to_dict()["errors"][0].keys() == {"code", "message", "path", "limit"}


def test_a_problem_seen_from_further_up_keeps_its_threat() -> None:
    [problem] = validate_string(ATTACK, threats="block").errors
    assert problem.below(("names", 3)) == Problem("threat", problem.message, ("names", 3), None, problem.threat)
