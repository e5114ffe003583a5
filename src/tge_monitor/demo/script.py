"""The plot: all is well, the Twitter endpoint breaks, the breaker opens, the alert stands, all is well again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spanguard import semconv
from spanguard.stack import Stack, StackSettings
from spanguard.testing import OtlpReceiver
from tge_monitor.demo.evidence import ALERT, BREAKER, Observer, Transition
from tge_monitor.demo.local import LocalObserver
from tge_monitor.demo.processes import application, other_ends
from tge_monitor.demo.screen import Screen
from tge_monitor.demo.servers import ServerObserver

FIRST_SIGNAL_TIMEOUT: Final = 60.0
STEP_TIMEOUT: Final = 60.0


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the signals go, and who looks at them."""

    otlp_endpoint: str
    observer: Observer


@contextmanager
def local_stage(_screen: Screen) -> Iterator[Stage]:
    """Receive the signals in this process."""
    with OtlpReceiver() as receiver:
        yield Stage(receiver.endpoint, LocalObserver(receiver.signals))


@contextmanager
def stack_stage(screen: Screen) -> Iterator[Stage]:
    """Send the signals to the stack that is up, or bring it up. It stays up: the links that are printed lead there."""
    stack = Stack(StackSettings.load(), progress=screen.note)
    status = stack.status()
    endpoints = status.endpoints if status.healthy else None
    if endpoints is None:
        endpoints = stack.up()
    with closing(ServerObserver(endpoints)) as observer:
        yield Stage(endpoints.otlp_http, observer)


def play(screen: Screen, stage: Stage) -> None:
    """Play all of it; each step is done only when it was really observed.

    Raises:
        NotObservedError: a step was not seen in time.
        DemoError: a program did not start.
    """
    observer = stage.observer
    with (
        tempfile.TemporaryDirectory(prefix="tge-monitor-") as directory,
        other_ends() as ends,
        application(ends, stage.otlp_endpoint, Path(directory)) as api,
    ):
        screen.done(f"tge_monitor runs, and its other ends: posts, feeds, a mail server. Its API: {api}/status")
        first = screen.wait_for("the first signal", observer.first_guarded_call, FIRST_SIGNAL_TIMEOUT)
        screen.done("first signal: a guarded call as a trace", first.source)
        screen.tree(first)

        ends.break_twitter()
        screen.done("broke the Twitter endpoint: it answers 503 from now on")
        opened = screen.wait_for("the breaker opens", lambda: observer.transition("open"), STEP_TIMEOUT)
        screen.done(f"the breaker {BREAKER} opened: {_why(opened)}", opened.source)
        trace = screen.wait_for("its trace", lambda: observer.trace(opened.trace_id), STEP_TIMEOUT)
        screen.done("the call that opened it", trace.source)
        screen.tree(trace)
        alert = screen.wait_for("the alert", observer.alert, STEP_TIMEOUT)
        screen.done(f"alert {ALERT}, {alert.severity}: {alert.summary}", alert.source)
        refused = screen.wait_for("calls are refused", observer.rejected_calls, STEP_TIMEOUT)
        screen.done(f"calls refused without touching the endpoint: {refused.value:.0f}", refused.source)

        ends.heal()
        screen.done("healed the Twitter endpoint")
        closed = screen.wait_for("the breaker closes", lambda: observer.transition("closed"), STEP_TIMEOUT)
        screen.done(f"the breaker closed: {_why(closed)}", closed.source)
        over = screen.wait_for("the alert is resolved", observer.alert_is_resolved, STEP_TIMEOUT)
        screen.done(f"alert {ALERT} resolved", over.source)


def _why(transition: Transition) -> str:
    reason = transition.reason.replace("_", " ")
    shown = {
        "failures": semconv.BREAKER_FAILURES,
        "successes": semconv.BREAKER_SUCCESSES,
        "threshold": semconv.BREAKER_THRESHOLD,
        "last error": semconv.ERROR_TYPE,
        "tries again in s": semconv.BREAKER_RETRY_AFTER,
    }
    details = [
        f"{label} {transition.attributes[a.key]}" for label, a in shown.items() if a.key in transition.attributes
    ]
    return f"{reason} ({', '.join(details)})" if details else reason
