"""What the plugin remembers of each breaker of an application, and of what each thread is in the middle of."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

from spanguard import semconv
from spanguard.instrumentation.pybreaker.signals import BreakerSignals, Outcome, Reason, State
from spanguard.telemetry import error_type, spans
from spanguard.telemetry.internal import safely

if TYPE_CHECKING:
    import pybreaker

ATTRIBUTE: Final = "_spanguard_watch"
"""Where a breaker keeps its watch; the class has `NOBODY` there while the plugin is at work."""


class Watch:
    """The signals of one breaker, kept on the breaker itself: no lookup is quicker.

    Attributes:
        lock: guards the counts; pybreaker's own lock is not held where generators end.
        handling: how many threads are just taking in a failed call of this breaker.
        needs_care: a success cannot simply be counted: an error is taken in, or this is nobody's watch.
        success: the count of the calls that simply succeeded.
        announced: the state that was last told.
        thread: holds, for each thread, when its latest call of this breaker began.
    """

    __slots__ = ("announced", "handling", "lock", "needs_care", "signals", "success", "thread")

    def __init__(self, signals: BreakerSignals, announced: State) -> None:
        # Re-entrant: a garbage collection inside the lock may close a guarded generator, which reports its end.
        self.lock = threading.RLock()
        self.handling = 0
        self.needs_care = False
        self.signals = signals
        self.success = signals.success
        self.announced = announced
        self.thread = threading.local()

    def count(self, outcome: Outcome, error: BaseException | None = None) -> None:
        """Count a call that did not simply succeed."""
        with self.lock:
            self.signals.cell(outcome, None if error is None else error_type(error)).value += 1

    def handle(self, change: int) -> None:
        """Note that a thread begins or ends to take in an error."""
        with self.lock:
            self.handling += change
            self.needs_care = self.handling > 0

    def start_again_in_child(self) -> None:
        """Drop what other threads of the parent held: they do not exist here."""
        self.lock = threading.RLock()
        self.handling = sum(entry.watch is self for entry in _thread.errors)
        self.needs_care = self.handling > 0


def state_of(breaker: Any) -> State:
    """Return the state that the breaker last knew of; to ask its storage could block."""
    return semconv_state(breaker._state.name)  # noqa: SLF001 - `state` asks the storage


def semconv_state(name: str) -> State:
    """Return pybreaker's name of a state as the registry spells it."""
    return cast("State", name.replace("-", "_"))


class _Nobody:
    """Stands on the class, where a breaker that was not met yet finds it."""

    needs_care = True
    thread = threading.local()


NOBODY: Final = cast("Watch", _Nobody())


class Watches:
    """The watches of all breakers while the plugin is at work."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._breakers: dict[int, weakref.ref[pybreaker.CircuitBreaker]] = {}
        self._is_active = True

    def of(self, breaker: pybreaker.CircuitBreaker) -> Watch | None:
        """Return the breaker's watch; None where there is nothing to watch or it cannot be."""
        watch: Watch = getattr(breaker, ATTRIBUTE, NOBODY)
        if watch is not NOBODY:
            return watch
        with safely("pybreaker"):
            return self._attach(breaker, NOBODY)
        return None

    def renew(self, breaker: pybreaker.CircuitBreaker) -> None:
        """Count under the breaker's new name from now on."""
        with safely("pybreaker"):
            self._attach(breaker, getattr(breaker, ATTRIBUTE, NOBODY))

    def _attach(self, breaker: pybreaker.CircuitBreaker, former: Watch) -> Watch | None:
        if getattr(type(breaker), "emits_its_own_signals", False):
            return None
        with self._lock:
            if not self._is_active:
                return None
            current: Watch = getattr(breaker, ATTRIBUTE, NOBODY)
            if current is not former:
                return current
            watch = Watch(BreakerSignals(breaker.name, breaker, state_of), state_of(breaker))
            setattr(breaker, ATTRIBUTE, watch)
            key = id(breaker)
            self._breakers[key] = weakref.ref(breaker, lambda gone: self._forget(key, gone))
            return watch

    def _forget(self, key: int, gone: weakref.ref[pybreaker.CircuitBreaker]) -> None:
        # Runs at any moment, perhaps in a thread that holds the lock: one atomic step, and only for this very object.
        if self._breakers.get(key) is gone:
            self._breakers.pop(key, None)

    def remove_all(self) -> None:
        """Leave nothing on any breaker, now and later."""
        with self._lock:
            self._is_active = False
            for reference in list(self._breakers.values()):
                breaker = reference()
                if breaker is not None:
                    vars(breaker).pop(ATTRIBUTE, None)
            self._breakers.clear()

    def start_again_in_child(self) -> None:
        """Drop the locks that other threads of the parent may have held: they do not exist here."""
        self._lock = threading.RLock()
        for reference in list(self._breakers.values()):
            watch = getattr(reference(), ATTRIBUTE, NOBODY)
            if watch is not NOBODY:
                watch.start_again_in_child()


class _Thread(threading.local):
    """What this thread is in the middle of; innermost last."""

    def __init__(self) -> None:
        self.errors: list[_Handling] = []
        self.reasons: list[_Expected] = []


class _Handling:
    """One error that pybreaker is taking in; it is a failure or not as soon as pybreaker has shown which."""

    __slots__ = ("breaker", "error", "is_failure", "watch")

    def __init__(self, watch: Watch, breaker: object, error: BaseException) -> None:
        self.watch = watch
        self.breaker = breaker
        self.error = error
        self.is_failure: bool | None = None


class _Expected:
    """A move that pybreaker may be about to make, and why it would."""

    __slots__ = ("breaker", "is_used", "reason", "target")

    def __init__(self, breaker: object, target: State, reason: Reason) -> None:
        self.breaker = breaker
        self.target = target
        self.reason: Reason = reason
        self.is_used = False


_thread: Final = _Thread()


@contextmanager
def handling(watch: Watch, breaker: object, error: BaseException) -> Iterator[_Handling]:
    """Mark that pybreaker takes in an error of this breaker."""
    entry = _Handling(watch, breaker, error)
    _thread.errors.append(entry)
    watch.handle(1)
    try:
        yield entry
    finally:
        watch.handle(-1)
        _thread.errors.pop()


def classify(breaker: object, *, is_failure: bool) -> bool:
    """Note what pybreaker takes this thread's error for; tell whether there was one that waited for it."""
    for entry in _thread.errors[-1:]:
        if entry.breaker is breaker and entry.is_failure is None:
            entry.is_failure = is_failure
            return True
    return False


@contextmanager
def expecting(breaker: object, target: State, reason: Reason) -> Iterator[None]:
    """Name the reason of a move to `target`, should one happen in this block that has no reason yet."""
    if _find_expected(breaker, target) is not None:
        yield
        return
    _thread.reasons.append(_Expected(breaker, target, reason))
    try:
        yield
    finally:
        _thread.reasons.pop()


def _find_expected(breaker: object, target: State) -> _Expected | None:
    for entry in reversed(_thread.reasons):
        if entry.breaker is breaker and entry.target == target and not entry.is_used:
            return entry
    return None


def take_reason(breaker: object, target: State) -> Reason:
    """Return why the breaker moves: what was expected, or else that its storage made it."""
    entry = _find_expected(breaker, target)
    if entry is None:
        return "storage"
    entry.is_used = True
    return entry.reason


def last_error(breaker: object) -> BaseException | None:
    """Return the error of this breaker that this thread is taking in, if any."""
    return next((entry.error for entry in reversed(_thread.errors) if entry.breaker is breaker), None)


def show_in_trace(watch: Watch, outcome: Outcome, state: State, error: BaseException | None = None) -> None:
    """Write on the current span what became of a call, and add a child span for it. No trace, no span."""
    attributes: dict[str, str | float | bool] = {
        semconv.BREAKER_STATE.key: state,
        semconv.BREAKER_OUTCOME.key: outcome,
    }
    spans.annotate({semconv.POLICY_NAME.key: watch.signals.policy, **attributes})
    now = time.time_ns()
    began = now if outcome == "rejected" else getattr(watch.thread, "started", now)
    spans.add_child(semconv.CALL_SPAN, watch.signals.policy, attributes, start_time=began, end_time=now, error=error)
