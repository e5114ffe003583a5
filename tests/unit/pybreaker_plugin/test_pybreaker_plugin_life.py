# mypy: disable-error-code="untyped-decorator"
# pybreaker's own decorators are untyped.
"""The plugin comes, goes without a trace, and stands threads and forks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator

import pybreaker
import pytest

from spanguard import semconv
from spanguard.instrumentation.pybreaker import PybreakerInstrumentor
from spanguard.telemetry import COUNTS
from spanguard.testing import Signals
from unit.pybreaker_plugin.theirs import attempt, counted, fail, status

CLASSES = (
    pybreaker.CircuitBreaker,
    pybreaker.CircuitBreakerState,
    pybreaker.CircuitClosedState,
    pybreaker.CircuitOpenState,
    pybreaker.CircuitHalfOpenState,
)


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
