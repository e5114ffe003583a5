# mypy: disable-error-code="untyped-decorator"
# pybreaker's own decorators are untyped.
"""What the plugin makes of an application's own pybreaker objects, and that it goes without a trace."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pybreaker
import pytest
from opentelemetry import trace

from spanguard import semconv
from spanguard.error_handling import CircuitBreaker
from spanguard.instrumentation.pybreaker import PybreakerInstrumentor
from spanguard.telemetry import COUNTS
from spanguard.testing import Signals

CALLS = semconv.BREAKER_CALLS_METRIC.name
STATUS = semconv.BREAKER_STATUS_METRIC.name
EVENT = semconv.BREAKER_STATE_CHANGE_EVENT.name
NEVER = 3600.0

CLASSES = (
    pybreaker.CircuitBreaker,
    pybreaker.CircuitBreakerState,
    pybreaker.CircuitClosedState,
    pybreaker.CircuitOpenState,
    pybreaker.CircuitHalfOpenState,
)


@pytest.fixture
def plugin() -> Iterator[PybreakerInstrumentor]:
    plugin = PybreakerInstrumentor()
    plugin.instrument()
    yield plugin
    if plugin.is_instrumented_by_opentelemetry:
        plugin.uninstrument()


@pytest.fixture
def breaker(plugin: PybreakerInstrumentor) -> pybreaker.CircuitBreaker:
    return pybreaker.CircuitBreaker(fail_max=2, reset_timeout=NEVER, name="theirs", exclude=[KeyError])


def fail() -> None:
    raise TimeoutError("secret")


def attempt(breaker: pybreaker.CircuitBreaker, function: Callable[..., Any] = fail, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises((TimeoutError, KeyError, pybreaker.CircuitBreakerError)):
            breaker.call(function)


def counted(signals: Signals, name: str = "theirs") -> dict[str, float]:
    outcomes = {
        outcome: signals.increase(CALLS, {semconv.POLICY_NAME.key: name, semconv.BREAKER_OUTCOME.key: outcome})
        for outcome in semconv.BREAKER_OUTCOME.values
    }
    return {outcome: count for outcome, count in outcomes.items() if count}


def reasons(signals: Signals) -> list[tuple[Any, Any, Any]]:
    return [
        (
            event.attributes[semconv.BREAKER_FROM.key],
            event.attributes[semconv.BREAKER_TO.key],
            event.attributes[semconv.BREAKER_REASON.key],
        )
        for event in signals.events(EVENT)
    ]


def status(signals: Signals, name: str) -> dict[Any, float]:
    return {
        point.attributes[semconv.BREAKER_STATE.key]: point.value
        for point in signals.points(STATUS)
        if point.attributes[semconv.POLICY_NAME.key] == name and point.value
    }


def test_each_call_counts_once_under_its_outcome(breaker: pybreaker.CircuitBreaker, signals: Signals) -> None:
    breaker.call(int)
    attempt(breaker, {}.popitem)
    attempt(breaker, times=3)
    assert counted(signals) == {"success": 1, "ignored": 1, "failure": 2, "rejected": 1}


def test_failures_carry_their_type(breaker: pybreaker.CircuitBreaker, signals: Signals) -> None:
    attempt(breaker)
    assert signals.increase(CALLS, {semconv.ERROR_TYPE.key: "TimeoutError"}) == 1


def test_a_trip_is_one_event_that_says_why(breaker: pybreaker.CircuitBreaker, signals: Signals) -> None:
    attempt(breaker, times=2)
    (event,) = signals.events(EVENT)
    assert dict(event.attributes) == {
        semconv.POLICY_NAME.key: "theirs",
        semconv.BREAKER_FROM.key: "closed",
        semconv.BREAKER_TO.key: "open",
        semconv.BREAKER_REASON.key: "consecutive_failures",
        semconv.BREAKER_FAILURES.key: 2,
        semconv.BREAKER_THRESHOLD.key: 2.0,
        semconv.BREAKER_RETRY_AFTER.key: NEVER,
        semconv.ERROR_TYPE.key: "TimeoutError",
    }


def test_a_recovery_has_its_reasons(breaker: pybreaker.CircuitBreaker, signals: Signals) -> None:
    breaker.open()
    breaker.reset_timeout = 0
    attempt(breaker)
    breaker.call(int)
    assert reasons(signals) == [
        ("closed", "open", "manual"),
        ("open", "half_open", "reset_timeout_elapsed"),
        ("half_open", "open", "probe_failed"),
        ("open", "half_open", "reset_timeout_elapsed"),
        ("half_open", "closed", "success_threshold_reached"),
    ]


def test_a_move_by_hand_inside_a_probe_is_told_as_such(breaker: pybreaker.CircuitBreaker, signals: Signals) -> None:
    breaker.open()
    breaker.reset_timeout = 0
    breaker.call(breaker.open)
    assert reasons(signals)[1:3] == [("open", "half_open", "reset_timeout_elapsed"), ("half_open", "open", "manual")]


def test_a_second_half_opening_inside_a_probe_has_its_own_reason(
    breaker: pybreaker.CircuitBreaker, signals: Signals
) -> None:
    def close_and_half_open() -> None:
        breaker.close()
        breaker.half_open()

    breaker.open()
    breaker.reset_timeout = 0
    breaker.call(close_and_half_open)
    assert reasons(signals)[1:4] == [
        ("open", "half_open", "reset_timeout_elapsed"),
        ("half_open", "closed", "manual"),
        ("closed", "half_open", "manual"),
    ]


def test_a_move_of_the_storage_is_told_as_such(plugin: PybreakerInstrumentor, signals: Signals) -> None:
    storage = pybreaker.CircuitMemoryStorage("closed")
    breaker = pybreaker.CircuitBreaker(state_storage=storage)
    storage.state = "half-open"
    breaker.call(int)
    assert reasons(signals)[0] == ("closed", "half_open", "storage")


def test_a_raising_listener_makes_one_event_of_one_move(breaker: pybreaker.CircuitBreaker, signals: Signals) -> None:
    class Saboteur(pybreaker.CircuitBreakerListener):
        def state_change(self, *_: Any) -> None:
            raise RuntimeError

    breaker.add_listener(Saboteur())
    for _ in range(3):
        with pytest.raises(RuntimeError):
            breaker.open()
    assert reasons(signals) == [("closed", "open", "manual")]


def test_a_call_that_a_listener_makes_is_not_taken_for_the_error(
    breaker: pybreaker.CircuitBreaker, signals: Signals
) -> None:
    class Eager(pybreaker.CircuitBreakerListener):
        def failure(self, cb: Any, exc: BaseException) -> None:
            cb.call(int)

    breaker.add_listener(Eager())
    attempt(breaker)
    assert counted(signals) == {"failure": 1, "success": 1}


def test_generators_and_blocks_count(breaker: pybreaker.CircuitBreaker, signals: Signals) -> None:
    @breaker
    def numbers() -> Generator[int, None, None]:
        yield 1

    assert list(numbers()) == [1]
    with pytest.raises(TimeoutError), breaker.calling():
        raise TimeoutError
    assert counted(signals) == {"success": 1, "failure": 1}


def test_a_breaker_error_from_inside_a_probe_is_no_rejection(
    breaker: pybreaker.CircuitBreaker, signals: Signals
) -> None:
    def nested() -> None:
        raise pybreaker.CircuitBreakerError

    breaker.open()
    breaker.reset_timeout = 0
    attempt(breaker, nested)
    assert counted(signals) == {"failure": 1}


def test_breakers_from_before_and_subclasses_are_covered(signals: Signals) -> None:
    class Own(pybreaker.CircuitBreaker):
        def call(self, func: Any, *args: Any, **kwargs: Any) -> Any:
            return super().call(func, *args, **kwargs)

    before = Own(name="from_before")
    PybreakerInstrumentor().instrument()
    try:
        assert status(signals, "from_before") == {"closed": 1}
        before.call(int)
        assert counted(signals, "from_before") == {"success": 1}
    finally:
        PybreakerInstrumentor().uninstrument()


def test_a_subclass_that_never_calls_our_constructor_is_met_at_its_first_call(
    plugin: PybreakerInstrumentor, signals: Signals
) -> None:
    class Late(pybreaker.CircuitBreaker):
        def __init__(self) -> None:
            vars(self).update(vars(pybreaker.CircuitBreaker.__new__(pybreaker.CircuitBreaker)))
            pybreaker.CircuitBreaker.__init__.__wrapped__(self, name="late")  # type: ignore[attr-defined]

    Late().call(int)
    assert counted(signals, "late") == {"success": 1}


def test_a_breaker_without_a_name_is_unnamed(plugin: PybreakerInstrumentor, signals: Signals) -> None:
    pybreaker.CircuitBreaker().call(int)
    assert counted(signals, "unnamed") == {"success": 1}


def test_a_renamed_breaker_counts_under_its_new_name(plugin: PybreakerInstrumentor, signals: Signals) -> None:
    breaker = pybreaker.CircuitBreaker(name="formerly_named")
    breaker.call(int)
    breaker.name = "newly_named"
    breaker.call(int)
    assert (counted(signals, "formerly_named"), counted(signals, "newly_named")) == ({"success": 1}, {"success": 1})
    assert (status(signals, "formerly_named"), status(signals, "newly_named")) == ({}, {"closed": 1})


def test_the_own_breaker_is_not_counted_twice(plugin: PybreakerInstrumentor, signals: Signals) -> None:
    own = CircuitBreaker(name="own", fail_max=1)
    own.call(int)
    attempt(own)
    own.close()
    assert counted(signals, "own") == {"success": 1, "failure": 1}
    assert status(signals, "own") == {"closed": 1}
    assert len(reasons(signals)) == 2


def test_the_status_follows_the_state_and_ends_with_the_breaker(
    plugin: PybreakerInstrumentor, signals: Signals
) -> None:
    breaker = pybreaker.CircuitBreaker(name="mortal")
    breaker.open()
    assert status(signals, "mortal") == {"open": 1}
    del breaker
    gc.collect()
    assert status(signals, "mortal") == {}


# --- traces --------------------------------------------------------------------------------------------------------


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


# --- coming and going ----------------------------------------------------------------------------------------------


def test_uninstrument_restores_every_class_and_every_object() -> None:
    before = pybreaker.CircuitBreaker()
    classes, keys = [dict(vars(cls)) for cls in CLASSES], set(vars(before))
    plugin = PybreakerInstrumentor()
    plugin.instrument()
    meanwhile = pybreaker.CircuitBreaker()
    for breaker in (before, meanwhile):
        breaker.call(int)
        attempt(breaker)
    plugin.uninstrument()
    assert [dict(vars(cls)) for cls in CLASSES] == classes
    assert not [name for cls in CLASSES for name in vars(cls) if "spanguard" in name]
    assert set(vars(before)) == set(vars(meanwhile)) == keys


def test_after_uninstrument_nothing_is_counted_and_nothing_is_lost(
    plugin: PybreakerInstrumentor, breaker: pybreaker.CircuitBreaker, signals: Signals
) -> None:
    breaker.name = "left_alone"
    breaker.call(int)
    plugin.uninstrument()
    breaker.call(int)
    assert (counted(signals, "left_alone"), status(signals, "left_alone")) == ({"success": 1}, {})


def test_uninstrument_in_the_middle_of_a_call_does_not_disturb_it(
    plugin: PybreakerInstrumentor, breaker: pybreaker.CircuitBreaker
) -> None:
    def uninstrument_and_fail() -> None:
        plugin.uninstrument()
        fail()

    with pytest.raises(TimeoutError):
        breaker.call(uninstrument_and_fail)
    assert breaker.fail_counter == 1
    assert "_spanguard_watch" not in vars(breaker)


def test_it_can_come_back(plugin: PybreakerInstrumentor, breaker: pybreaker.CircuitBreaker, signals: Signals) -> None:
    plugin.uninstrument()
    plugin.instrument()
    breaker.call(int)
    assert counted(signals) == {"success": 1}


def test_a_library_that_is_too_old_is_skipped_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = PybreakerInstrumentor()
    monkeypatch.setattr(plugin, "instrumentation_dependencies", lambda: ("pybreaker >= 99",))
    with pytest.raises(ModuleNotFoundError, match="skipped"):
        plugin.instrument(skip_dep_check=True)
    assert not plugin.is_instrumented_by_opentelemetry


def test_a_library_that_has_become_another_is_skipped_alone_and_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(pybreaker.CircuitBreaker, "_inc_counter")
    before = [dict(vars(cls)) for cls in CLASSES]
    with pytest.raises(ModuleNotFoundError, match="lacks '_inc_counter'"):
        PybreakerInstrumentor().instrument()
    assert [dict(vars(cls)) for cls in CLASSES] == before


def test_threads_lose_no_count(breaker: pybreaker.CircuitBreaker, signals: Signals) -> None:
    @breaker
    def numbers() -> Generator[int, None, None]:
        yield 1

    def work() -> None:
        for _ in range(300):
            list(numbers())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted(signals) == {"success": 2400}


def test_a_generator_collected_while_this_thread_holds_the_lock_does_not_jam_it(
    breaker: pybreaker.CircuitBreaker, signals: Signals
) -> None:
    @breaker
    def numbers() -> Generator[int, None, None]:
        yield 1

    def collect_inside_the_lock() -> None:
        abandoned = [numbers()]
        next(abandoned[0])
        with breaker._spanguard_watch.lock:  # type: ignore[attr-defined]
            abandoned.clear()

    thread = threading.Thread(target=collect_inside_the_lock, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    assert counted(signals) == {"failure": 1}


def test_a_child_can_count_though_the_lock_was_held(
    breaker: pybreaker.CircuitBreaker, in_child: Callable[[Callable[[], object]], str]
) -> None:
    breaker.name = "forked_theirs"
    breaker.call(int)
    held, forked = threading.Event(), threading.Event()

    def hold() -> None:
        with breaker._spanguard_watch.lock:  # type: ignore[attr-defined]
            held.set()
            forked.wait(30)

    def count_one() -> list[float]:
        breaker.call(int)
        read = COUNTS.read(semconv.BREAKER_CALLS_METRIC)
        return [value for attributes, value in read if attributes[semconv.POLICY_NAME.key] == "forked_theirs" and value]

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    try:
        answer = in_child(count_one)
    finally:
        forked.set()
        thread.join()
    assert answer == "[1]"
