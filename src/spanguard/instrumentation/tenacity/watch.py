"""What is known of the calls under way through `tenacity`, and what is told of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from threading import get_ident
from typing import Any, Final

import tenacity

from spanguard import semconv
from spanguard.instrumentation.tenacity.signals import UNNAMED, Reason, RetrySignals
from spanguard.telemetry import Cell
from spanguard.telemetry.internal import note_failure
from spanguard.telemetry.spans import add_child, annotate, has_provider

_CALLER_WENT_AWAY: Final = (KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError)
_MOST_KNOWN: Final = 1000
_BEGAN: Final = "_spanguard_began"
_PENDING: Final = "_spanguard_pending"

Kind = tuple[int, Any, str | None]
"""A thread, the code of a retried function, and the name that its controller may have."""


class Watch:
    """Nothing here raises.

    Attributes:
        active: False once the plugin is off; a listener that could not be taken away then says nothing.
        cells: the counts of first successes, each bumped by one thread in a line that calls nothing.
    """

    def __init__(self) -> None:
        self.active = True
        self.cells: dict[Kind, Cell] = {}
        self._unnamed = RetrySignals(UNNAMED)
        self._signals: dict[str, RetrySignals] = {}

    def attempt_begins(self, state: Any) -> None:
        """Tell of the wait that is over, and note when the attempt began."""
        if not (self.active and has_provider()):
            return
        try:
            now = time.time_ns()
            waits_since = state.__dict__.get(_BEGAN)
            if waits_since is not None:
                attributes = {semconv.RETRY_ATTEMPT.key: state.attempt_number - 1}
                policy = self._signals_of(state.retry_object, state).policy
                add_child(semconv.BACKOFF_SPAN, policy, attributes, start_time=waits_since, end_time=now)
            setattr(state, _BEGAN, now)
        except Exception as error:  # noqa: BLE001 - telemetry never breaks the call
            note_failure("tenacity", error)

    def went_on(self, retrying: Any, state: Any, do: Any) -> None:
        """Take in a decision that raised nothing: a wait, a result, or the value that stands in for a failure."""
        if not self.active:
            return
        try:
            signals = self._take_in(retrying, state)
            if isinstance(do, tenacity.DoSleep):
                signals.backs_off(float(do))
                setattr(state, _BEGAN, time.time_ns())
            elif retrying.iter_state.stop_run_result:
                self._failed(signals, retrying, state, _error_of(state))
            else:
                self._succeeded(signals, state)
        except Exception as error:  # noqa: BLE001 - telemetry never breaks the call
            note_failure("tenacity", error)

    def raised(self, retrying: Any, state: Any, raised: BaseException) -> None:
        """Take in that a call has ended with an error."""
        if not self.active:
            return
        try:
            signals = self._take_in(retrying, state)
            error = _error_of(state) or raised
            if isinstance(error, _CALLER_WENT_AWAY):
                signals.cancelled(error)
            else:
                self._failed(signals, retrying, state, error)
        except Exception as error:  # noqa: BLE001 - telemetry never breaks the call
            note_failure("tenacity", error)

    def block_ended(self, state: Any) -> None:
        """Take in that a block came to its end: a success, unless the controller is asked and says otherwise."""
        if not self.active:
            return
        try:
            retrying, attempts = state.retry_object, state.attempt_number
            if retrying.before is tenacity.before_nothing and retrying.__dict__.get("_name") is None:
                signals = self._unnamed
            else:
                signals = self._signals_of(retrying, state)
            if attempts > 1:
                _tell_attempt(signals.policy, state, None)
            setattr(state, _PENDING, _Pending(signals, attempts))
        except Exception as error:  # noqa: BLE001 - telemetry never breaks the call
            note_failure("tenacity", error)

    def _take_in(self, retrying: Any, state: Any) -> RetrySignals:
        pending = state.__dict__.pop(_PENDING, None)
        if pending is not None:
            pending.is_settled = True
        signals = self._signals_of(retrying, state)
        _tell_attempt(signals.policy, state, _error_of(state))
        return signals

    def _succeeded(self, signals: RetrySignals, state: Any) -> None:
        signals.succeeded(state.attempt_number)
        code = getattr(state.fn, "__code__", None)
        if code is not None:
            if len(self.cells) >= _MOST_KNOWN:
                self.cells.clear()
            self.cells[get_ident(), code, _given_name(state.retry_object)] = signals.meet_thread()

    def _failed(self, signals: RetrySignals, retrying: Any, state: Any, error: BaseException | None) -> None:
        attempts = state.attempt_number
        reason = _reason(retrying.stop, state) if retrying.iter_state.stop_run_result else "not_retryable"
        signals.failed(attempts, reason, error, state.seconds_since_start or 0.0)
        annotate(
            {
                semconv.POLICY_NAME.key: signals.policy,
                semconv.RETRY_ATTEMPTS.key: attempts,
                semconv.RETRY_REASON.key: reason,
            }
        )

    def _signals_of(self, retrying: Any, state: Any) -> RetrySignals:
        name = _given_name(retrying) or _name_of(state.fn) or _name_in_stamina(retrying) or UNNAMED
        signals = self._signals.get(name)
        if signals is None:
            if len(self._signals) >= _MOST_KNOWN:
                # What was counted stays in the totals; a function that is still in use is met again.
                self._signals.clear()
            signals = self._signals.setdefault(name, RetrySignals(name))
        return signals


class _Pending:
    """A block that came to its end; if its loop is dropped before the controller is asked again, it has succeeded."""

    __slots__ = ("_attempts", "_signals", "is_settled")

    def __init__(self, signals: RetrySignals, attempts: int) -> None:
        self._signals = signals
        self._attempts = attempts
        self.is_settled = False

    def __del__(self) -> None:
        if not self.is_settled:
            self._signals.succeeded(self._attempts)


def _tell_attempt(policy: str, state: Any, error: BaseException | None) -> None:
    began = state.__dict__.pop(_BEGAN, None)
    if began is None or state.attempt_number == 1:
        return
    outcome = "success" if error is None else "failure"
    attributes: dict[str, str | float | bool] = {
        semconv.OUTCOME.key: outcome,
        semconv.RETRY_ATTEMPT.key: state.attempt_number,
    }
    add_child(semconv.ATTEMPT_SPAN, policy, attributes, start_time=began, error=error)


def _error_of(state: Any) -> BaseException | None:
    outcome = state.outcome
    error: BaseException | None = outcome.exception() if outcome is not None and outcome.failed else None
    return error


def _reason(stop: Any, state: Any) -> Reason:
    """Name the stop condition; of several, attempts come before time."""
    for part in _parts(stop):
        if isinstance(part, tenacity.stop_after_attempt) and state.attempt_number >= part.max_attempt_number:
            return "attempts"
    if any(isinstance(part, tenacity.stop_after_delay | tenacity.stop_before_delay) for part in _parts(stop)):
        return "timeout"
    return "other"


def _parts(stop: Any) -> tuple[Any, ...]:
    stops = getattr(stop, "stops", None)
    return (stop,) if stops is None else tuple(part for inner in stops for part in _parts(inner))


def _given_name(retrying: Any) -> str | None:
    name = retrying.__dict__.get("_name")
    return name if isinstance(name, str) else None


def _name_of(function: Callable[..., Any] | None) -> str | None:
    function = getattr(function, "func", function)  # of a partial
    name = getattr(function, "__qualname__", None)
    return None if name is None else f"{getattr(function, '__module__', '')}.{name}"


def _name_in_stamina(retrying: Any) -> str | None:
    """Stamina retries a block of its own; the name of the function is known to the iterator behind its hook."""
    name = getattr(getattr(retrying.before, "__self__", None), "_name", None)
    return name if isinstance(name, str) else None
