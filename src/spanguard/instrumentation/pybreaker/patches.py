# ruff: noqa: SLF001 - a plugin of a library without hooks lives on that library's private parts
"""Where the plugin listens in: the methods of pybreaker that every call and every move passes through.

The classes are changed, not the objects, so breakers of any age and of any subclass are covered. Each replacement
calls the original exactly once, with what it was given, and lets through what that returns or raises.
"""

from __future__ import annotations

import functools
import gc
import os
import time
import weakref
from collections.abc import Callable
from typing import Any, Final

import pybreaker
from opentelemetry import trace

from spanguard.instrumentation.pybreaker import watch as watching
from spanguard.instrumentation.pybreaker.signals import Reason, State, StateChange
from spanguard.instrumentation.pybreaker.watch import Watches, semconv_state
from spanguard.telemetry import error_type
from spanguard.telemetry.internal import safely

Method = Callable[..., Any]


class Patches:
    """The replaced methods. `apply` once, `remove` once."""

    def __init__(self) -> None:
        self._watches = Watches()
        self._originals: list[tuple[type, str, Any]] = []
        _patches.add(self)

    def apply(self) -> None:
        """Listen in on every breaker that exists and is to come."""
        breaker, state = pybreaker.CircuitBreaker, pybreaker.CircuitBreakerState
        setattr(breaker, watching.ATTRIBUTE, watching.NOBODY)
        closed, half_open = pybreaker.CircuitClosedState, pybreaker.CircuitHalfOpenState
        self._replace(breaker, "__init__", self._born)
        self._replace(breaker, "_create_new_state", self._moved)
        self._replace(breaker, "_inc_counter", _counted_as_failure)
        self._replace(state, "before_call", self._began)
        self._replace(state, "on_success", self._succeeded)
        self._replace(state, "_handle_error", self._failed)
        self._replace(pybreaker.CircuitOpenState, "before_call", self._asked_while_open)
        self._replace(closed, "on_failure", _expecting_of_state("open", "consecutive_failures"))
        self._replace(half_open, "on_failure", _expecting_of_state("open", "probe_failed"))
        self._replace(half_open, "on_success", self._probe_succeeded)
        self._replace(breaker, "name", self._named)
        self._replace(breaker, "open", _expecting("open", "manual"))
        self._replace(breaker, "half_open", _expecting("half_open", "manual"))
        self._replace(breaker, "close", _expecting("closed", "manual"))
        for existing in gc.get_objects():
            # isinstance() would ask proxies for their __class__, which may run anybody's code.
            if issubclass(type(existing), breaker):
                self._meet(existing)

    def remove(self) -> None:
        """Put every method back, and leave nothing on any breaker."""
        for owner, name, original in reversed(self._originals):
            setattr(owner, name, original)
        self._originals.clear()
        self._watches.remove_all()
        delattr(pybreaker.CircuitBreaker, watching.ATTRIBUTE)

    def _replace(self, owner: type, name: str, make: Callable[[Method], Method]) -> None:
        original = owner.__dict__[name]
        self._originals.append((owner, name, original))
        replacement = make(original)
        setattr(owner, name, functools.wraps(original)(replacement) if callable(original) else replacement)

    def _meet(self, breaker: Any) -> None:
        # One whose constructor has not come so far, or whose class forgot to call it, is met at its first call.
        if hasattr(breaker, "_state"):
            self._watches.of(breaker)

    def _born(self, original: Method) -> Method:
        def __init__(breaker: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the method's own name
            original(breaker, *args, **kwargs)
            self._meet(breaker)

        return __init__

    def _named(self, original: Any) -> Any:
        def set_name(breaker: Any, name: str) -> None:
            original.fset(breaker, name)
            self._watches.renew(breaker)

        return original.setter(set_name)

    # The originals of the next two are empty hooks of the base class, on a path that pays for little else: they are not
    # called, and the frame that this saves is the one that the plugin costs.

    def _began(self, _: Method) -> Method:
        def before_call(state: Any, func: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ARG001 - the hook's signature
            if trace._TRACER_PROVIDER is not None:
                state._breaker._spanguard_watch.thread.started = time.time_ns()

        return before_call

    def _succeeded(self, _: Method) -> Method:
        def on_success(state: Any) -> None:
            watch = state._breaker._spanguard_watch
            if watch.needs_care:
                watch = self._carefully(state._breaker)
                if watch is None:
                    return
            # A third cheaper than `with`, which is what this hook has to spend.
            lock = watch.lock
            lock.acquire()
            try:
                watch.success.value += 1
            finally:
                lock.release()

        return on_success

    def _carefully(self, breaker: Any) -> watching.Watch | None:
        """Return the watch that is to count a success; None if there is none, or what succeeded is an excluded error."""
        watch = self._watches.of(breaker)
        if watch is None or (watch.handling and watching.classify(breaker, is_failure=False)):
            return None
        return watch

    def _probe_succeeded(self, original: Method) -> Method:
        count = self._succeeded(original)

        def on_success(state: Any, *args: Any, **kwargs: Any) -> Any:
            count(state)
            with watching.expecting(state._breaker, "closed", "success_threshold_reached"):
                return original(state, *args, **kwargs)

        return on_success

    def _failed(self, original: Method) -> Method:
        def _handle_error(state: Any, exc: BaseException, *args: Any, **kwargs: Any) -> Any:
            breaker = state._breaker
            watch = self._watches.of(breaker)
            if watch is None:
                return original(state, exc, *args, **kwargs)
            with watching.handling(watch, breaker, exc) as entry:
                try:
                    return original(state, exc, *args, **kwargs)
                finally:
                    with safely("pybreaker"):
                        if entry.is_failure is False:
                            watch.count("ignored", exc)
                        else:
                            watch.count("failure", exc)
                            watching.show_in_trace(watch, "failure", semconv_state(state.name), exc)

        return _handle_error

    def _asked_while_open(self, original: Method) -> Method:
        def before_call(state: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
            breaker = state._breaker
            try:
                with watching.expecting(breaker, "half_open", "reset_timeout_elapsed"):
                    return original(state, func, *args, **kwargs)
            except pybreaker.CircuitBreakerError as error:
                # The trial call is made in there too; only a refusal is raised by that very method.
                if _was_raised_in_callee(error):
                    with safely("pybreaker"):
                        self._refused(breaker, error)
                raise

        return before_call

    def _refused(self, breaker: Any, error: BaseException) -> None:
        watch = self._watches.of(breaker)
        if watch is not None:
            with watch.lock:
                watch.signals.rejected.value += 1
            watching.show_in_trace(watch, "rejected", "open", error)

    def _moved(self, original: Method) -> Method:
        def _create_new_state(breaker: Any, new_state: str, prev_state: Any = None, notify: bool = False) -> Any:
            if notify and new_state in _STATES:
                # Before the original: its listeners may move the breaker again.
                with safely("pybreaker"):
                    self._announce(breaker, semconv_state(new_state))
            return original(breaker, new_state, prev_state=prev_state, notify=notify)

        return _create_new_state

    def _announce(self, breaker: Any, target: State) -> None:
        watch = self._watches.of(breaker)
        # A listener that raises makes pybreaker repeat the move at the next call: it is told once all the same.
        if watch is not None and watch.announced != target:
            change = _describe(breaker, watch.announced, target)
            watch.announced = target
            watch.signals.moved(change)


_STATES: Final = (pybreaker.STATE_CLOSED, pybreaker.STATE_OPEN, pybreaker.STATE_HALF_OPEN)


def _describe(breaker: Any, source: State, target: State) -> StateChange:
    reason = watching.take_reason(breaker, target)
    error = watching.last_error(breaker) if target == "open" else None
    storage = breaker._state_storage
    # To ask any other storage would be one more round trip on the application's behalf.
    is_local = isinstance(storage, pybreaker.CircuitMemoryStorage)
    thresholds = {
        "consecutive_failures": breaker.fail_max,
        "success_threshold_reached": breaker.success_threshold,
    }
    threshold = thresholds.get(reason)
    return StateChange(
        source,
        target,
        reason,
        failures=storage.counter if is_local and error is not None else None,
        successes=breaker.success_threshold if reason == "success_threshold_reached" else None,
        threshold=None if threshold is None else float(threshold),
        retry_after=float(breaker.reset_timeout) if target == "open" else None,
        error_type=None if error is None else error_type(error),
    )


def _counted_as_failure(original: Method) -> Method:
    def _inc_counter(breaker: Any) -> Any:
        watching.classify(breaker, is_failure=True)
        return original(breaker)

    return _inc_counter


def _expecting(target: State, reason: Reason) -> Callable[[Method], Method]:
    def make(original: Method) -> Method:
        def move(breaker: Any, *args: Any, **kwargs: Any) -> Any:
            with watching.expecting(breaker, target, reason):
                return original(breaker, *args, **kwargs)

        return move

    return make


def _expecting_of_state(target: State, reason: Reason) -> Callable[[Method], Method]:
    def make(original: Method) -> Method:
        def verdict(state: Any, *args: Any, **kwargs: Any) -> Any:
            with watching.expecting(state._breaker, target, reason):
                return original(state, *args, **kwargs)

        return verdict

    return make


def _was_raised_in_callee(error: BaseException) -> bool:
    """Tell whether the error comes from the function that our caller called, and not from deeper down."""
    here = error.__traceback__
    return here is not None and here.tb_next is not None and here.tb_next.tb_next is None


_patches: weakref.WeakSet[Patches] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for patches in list(_patches):
        patches._watches.start_again_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
