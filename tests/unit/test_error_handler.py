from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import TracebackType

import pytest
from opentelemetry import trace

from spanguard.error_handling import ErrorHandler, ErrorRecord, ErrorSeverity, ErrorSource
from spanguard.errors import ConfigurationError
from spanguard.testing import CapturedEvent, FakeClock, Signals

ERROR = "spanguard.error"


@pytest.fixture
def handler(clock: FakeClock) -> Iterator[ErrorHandler]:
    """An installed handler, over hooks that print nothing."""
    before = sys.excepthook, threading.excepthook, sys.unraisablehook
    sys.excepthook = lambda *_: None
    threading.excepthook = lambda _: None
    sys.unraisablehook = lambda _: None
    with ErrorHandler(clock=clock) as installed:
        yield installed
    sys.excepthook, threading.excepthook, sys.unraisablehook = before


def raised(error: BaseException) -> BaseException:
    """The same error with a stack, always from the same line."""

    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        fail()
    return error


def surface(error: BaseException) -> None:
    """Let an error reach the hook of the main thread."""
    sys.excepthook(type(error), error, error.__traceback__)


def in_a_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def only_event(signals: Signals) -> CapturedEvent:
    (event,) = signals.events(ERROR)
    return event


# --- where errors surface ------------------------------------------------------------------------------------------


def test_an_error_of_the_main_thread_becomes_one_fatal_record(handler: ErrorHandler, signals: Signals) -> None:
    surface(raised(KeyError("secret text")))
    event = only_event(signals)
    assert event.severity == "FATAL"
    assert event.attributes["exception.type"] == "KeyError"
    assert event.attributes["spanguard.error.source"] == "main_thread"
    assert event.attributes["spanguard.error.handled"] is False
    assert event.attributes["spanguard.error.count"] == 1


def test_an_error_of_a_thread_becomes_a_record(handler: ErrorHandler, signals: Signals) -> None:
    in_a_thread(lambda: int("x"))
    assert only_event(signals).attributes["spanguard.error.source"] == "thread"


def test_an_error_of_a_destructor_becomes_a_record(handler: ErrorHandler, signals: Signals) -> None:
    class Bad:
        def __del__(self) -> None:
            raise LookupError

    Bad()
    gc.collect()
    assert only_event(signals).attributes["spanguard.error.source"] == "unraisable"


async def test_an_error_of_a_task_nobody_awaited_becomes_a_record(clock: FakeClock, signals: Signals) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, _context: None)

    async def fail() -> None:
        raise OSError

    with ErrorHandler(clock=clock):
        task = asyncio.create_task(fail())
        await asyncio.wait([task])
        del task
        gc.collect()
        assert only_event(signals).attributes["spanguard.error.source"] == "asyncio"
    loop.set_exception_handler(None)


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), SystemExit(1)])
def test_an_end_on_purpose_is_no_error(handler: ErrorHandler, signals: Signals, ending: BaseException) -> None:
    surface(ending)
    assert signals.events(ERROR) == []
    assert handler.stats() == {}


def test_an_error_that_the_application_reports_is_handled(handler: ErrorHandler, signals: Signals) -> None:
    handler.handle(raised(ValueError()), severity=ErrorSeverity.WARNING)
    event = only_event(signals)
    assert event.severity == "WARN"
    assert event.attributes["spanguard.error.handled"] is True


def test_an_error_in_a_program_of_its_own_is_recorded_before_it_ends() -> None:
    program = """
from spanguard.error_handling import ErrorHandler
from spanguard.telemetry import add_sink
add_sink(lambda event: print(event.name, event.attributes["error.type"]))
ErrorHandler().install()
raise LookupError("told")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "spanguard.error LookupError\n"
    assert done.stderr.endswith("LookupError: told\n")
    assert done.returncode == 1


# --- chaining and restoring ----------------------------------------------------------------------------------------


def test_what_stood_there_before_is_still_called(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    called: list[str] = []
    monkeypatch.setattr(sys, "excepthook", lambda *_: called.append("main"))
    monkeypatch.setattr(threading, "excepthook", lambda _: called.append("thread"))
    with ErrorHandler(clock=clock):
        surface(raised(ValueError()))
        in_a_thread(lambda: int("x"))
    assert called == ["main", "thread"]


async def test_a_loops_own_handler_is_still_called_and_put_back(clock: FakeClock) -> None:
    loop = asyncio.get_running_loop()
    called: list[object] = []

    def own(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        called.append(context["exception"])

    loop.set_exception_handler(own)
    error = ValueError()
    with ErrorHandler(clock=clock):
        loop.call_exception_handler({"message": "m", "exception": error})
    assert called == [error]
    assert loop.get_exception_handler() is own
    loop.set_exception_handler(None)


def test_uninstall_puts_every_hook_back(clock: FakeClock) -> None:
    before = sys.excepthook, threading.excepthook, sys.unraisablehook
    handler = ErrorHandler(clock=clock)
    handler.install()
    handler.install()
    assert sys.excepthook is not before[0]
    handler.uninstall()
    assert (sys.excepthook, threading.excepthook, sys.unraisablehook) == before


def test_a_hook_under_somebody_elses_only_passes_on_after_uninstall(
    monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    called: list[str] = []
    monkeypatch.setattr(sys, "excepthook", lambda *_: called.append("first"))
    handler = ErrorHandler(clock=clock)
    handler.install()
    ours = sys.excepthook

    def theirs(kind: type[BaseException], error: BaseException, stack: TracebackType | None) -> None:
        ours(kind, error, stack)

    monkeypatch.setattr(sys, "excepthook", theirs)
    handler.uninstall()
    assert sys.excepthook is theirs
    surface(raised(ValueError()))
    assert called == ["first"]
    assert handler.stats() == {}


# --- what is said --------------------------------------------------------------------------------------------------


def test_the_record_belongs_to_the_span_in_which_the_error_was_raised(handler: ErrorHandler, signals: Signals) -> None:
    tracer = trace.get_tracer("test")

    def work() -> None:
        with tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner"):
            raise LookupError

    in_a_thread(work)
    (inner,) = signals.spans("inner")
    event = only_event(signals)
    assert (event.trace_id, event.span_id) == (inner.trace_id, inner.span_id)


def test_a_handled_error_belongs_to_the_current_span(handler: ErrorHandler, signals: Signals) -> None:
    with trace.get_tracer("test").start_as_current_span("work"):
        handler.handle(raised(ValueError()))
    assert only_event(signals).span_id == signals.spans("work")[0].span_id


def test_the_stack_names_the_place_and_the_causes_but_no_message(handler: ErrorHandler, signals: Signals) -> None:
    try:
        try:
            dict[str, str]()["hunter2"]
        except KeyError as cause:
            raise ValueError("hunter" + "3") from cause
    except ValueError as error:
        handler.handle(error)
    event = only_event(signals)
    stack = event.attributes["exception.stacktrace"]
    assert "test_error_handler.py" in stack
    assert stack.endswith("ValueError\ncaused by KeyError")
    assert "hunter3" not in f"{event.attributes}{event.body}"
    assert "exception.message" not in event.attributes


def test_a_deep_stack_keeps_its_innermost_frames(handler: ErrorHandler, signals: Signals) -> None:
    def deep(levels: int) -> None:
        if levels == 0:
            raise LookupError
        deep(levels - 1)

    with pytest.raises(LookupError) as caught:
        deep(200)
    handler.handle(caught.value)
    stack = only_event(signals).attributes["exception.stacktrace"]
    assert "raise LookupError" in stack
    assert stack.endswith("\nLookupError")
    assert len(stack) <= 2048


def test_a_message_is_said_redacted_only_when_asked_for(clock: FakeClock, signals: Signals) -> None:
    ErrorHandler(keep_messages=True, clock=clock).handle(ValueError("login failed, password=hunter2"))
    assert only_event(signals).attributes["exception.message"] == "login failed, password=[REDACTED]"


def test_an_error_whose_text_fails_is_recorded_all_the_same(clock: FakeClock, signals: Signals) -> None:
    class Mute(Exception):  # noqa: N818 - it is mute, not an error
        def __str__(self) -> str:
            raise RuntimeError

    ErrorHandler(keep_messages=True, clock=clock).handle(Mute())
    assert "exception.message" not in only_event(signals).attributes


# --- storms --------------------------------------------------------------------------------------------------------


def test_a_storm_of_equal_errors_is_one_record_and_one_summary(
    handler: ErrorHandler, clock: FakeClock, signals: Signals
) -> None:
    for _ in range(1000):
        surface(raised(ValueError()))
        clock.advance(0.01)
    (first,) = signals.events(ERROR)
    clock.wait_for_sleepers()
    clock.advance(60)
    signals.wait_for(lambda s: len(s.events(ERROR)) == 2, what="the summary")
    summary = signals.events(ERROR)[1]
    assert summary.attributes["spanguard.error.count"] == 999
    start = first.attributes["spanguard.error.first_at"]
    assert summary.attributes["spanguard.error.first_at"] - start == pytest.approx(0.01e9, abs=1e6)
    assert summary.attributes["spanguard.error.last_at"] - start == pytest.approx(9.99e9, abs=1e6)


def test_a_storm_that_goes_on_says_one_summary_a_window(
    handler: ErrorHandler, clock: FakeClock, signals: Signals
) -> None:
    for _ in range(3):
        surface(raised(ValueError()))
        surface(raised(ValueError()))
        clock.advance(61)
    handler.flush()
    signals.wait_for(lambda s: sum(e.attributes["spanguard.error.count"] for e in s.events(ERROR)) == 6)
    assert len(signals.events(ERROR)) <= 4


def test_different_errors_are_no_storm(handler: ErrorHandler, signals: Signals) -> None:
    surface(raised(ValueError()))
    surface(raised(KeyError()))
    surface(ValueError())  # from no place at all
    assert len(signals.events(ERROR)) == 3


def test_uninstall_says_the_summaries_that_were_to_come(clock: FakeClock, signals: Signals) -> None:
    handler = ErrorHandler(clock=clock)
    handler.handle(raised(ValueError()))
    handler.handle(raised(ValueError()))
    handler.uninstall()
    assert [event.attributes["spanguard.error.count"] for event in signals.events(ERROR)] == [1, 1]
    clock.advance(100)  # let the thread that waits for the window's end go


def test_every_error_of_a_storm_is_counted(handler: ErrorHandler, signals: Signals) -> None:
    for _ in range(10):
        surface(raised(ValueError()))
    handler.handle(raised(ValueError()))
    unhandled = {"error.type": "ValueError", "spanguard.error.handled": False}
    assert signals.increase("spanguard.errors", unhandled) == 10
    assert signals.increase("spanguard.errors", {"error.type": "ValueError"}) == 11


def test_threads_in_a_storm_lose_no_error(handler: ErrorHandler, signals: Signals) -> None:
    error = raised(ValueError())

    def storm() -> None:
        for _ in range(50):
            handler.handle(error)

    threads = [threading.Thread(target=storm) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    handler.flush()
    assert sum(event.attributes["spanguard.error.count"] for event in signals.events(ERROR)) == 800
    assert handler.stats()["ValueError"].count == 800


# --- callbacks and statistics --------------------------------------------------------------------------------------


def test_a_callback_hears_of_its_types_and_severities_only(handler: ErrorHandler) -> None:
    heard: list[ErrorRecord] = []
    handler.add_callback(heard.append, types=LookupError, min_severity=ErrorSeverity.ERROR)
    error = raised(KeyError())
    handler.handle(error)
    handler.handle(raised(KeyError()), severity=ErrorSeverity.WARNING)
    handler.handle(raised(ValueError()))
    (record,) = heard
    assert record.error is error
    assert (record.severity, record.source, record.handled) == (ErrorSeverity.ERROR, ErrorSource.APPLICATION, True)


def test_a_removed_callback_hears_nothing(handler: ErrorHandler) -> None:
    heard: list[ErrorRecord] = []
    handler.add_callback(heard.append)
    handler.remove_callback(heard.append)
    handler.handle(ValueError())
    assert heard == []


def test_a_callback_that_fails_reaches_nobody(handler: ErrorHandler, signals: Signals) -> None:
    def broken(_: ErrorRecord) -> None:
        raise RuntimeError

    heard: list[ErrorRecord] = []
    handler.add_callback(broken)
    handler.add_callback(heard.append)
    handler.handle(ValueError())
    assert len(heard) == 1
    assert signals.increase("spanguard.telemetry.errors", {"spanguard.component": "error callback"}) == 1


def test_statistics_are_kept_by_type(handler: ErrorHandler, clock: FakeClock) -> None:
    surface(raised(ValueError()))
    clock.advance(5)
    handler.handle(raised(ValueError()))
    stats = handler.stats()["ValueError"]
    assert (stats.count, stats.handled, stats.unhandled) == (2, 1, 1)
    assert stats.last_at - stats.first_at == 5


@pytest.mark.parametrize("window", [0, -1, float("nan"), float("inf")])
def test_a_window_that_makes_no_sense_is_refused(window: float) -> None:
    with pytest.raises(ConfigurationError, match="storm_window"):
        ErrorHandler(storm_window=window)


def test_a_forked_child_does_not_say_its_parents_summaries(handler: ErrorHandler) -> None:
    error = raised(ValueError())
    handler.handle(error)
    handler.handle(error)
    heard: list[ErrorRecord] = []
    handler.add_callback(heard.append)
    child = os.fork()
    if child == 0:
        handler.flush()
        os._exit(len(heard))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    handler.flush()
    assert [record.count for record in heard] == [1]
