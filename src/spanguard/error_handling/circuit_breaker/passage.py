"""One call's way through a breaker, with its span: what every form of a guarded call has in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spanguard import semconv
from spanguard.error_handling.circuit_breaker.core import BreakerCore
from spanguard.error_handling.circuit_breaker.errors import CircuitBreakerError
from spanguard.error_handling.circuit_breaker.machine import Permit
from spanguard.instrumentation.pybreaker import Outcome, State
from spanguard.telemetry import error_type
from spanguard.telemetry.spans import GuardSpan, has_provider, root_of, start_guard_span


class Passage:
    """Enter, then exactly one of `succeed` and `fail`. While it is entered and not suspended its span is current."""

    __slots__ = ("_core", "_permit", "_span", "_started")

    def __init__(self, core: BreakerCore) -> None:
        self._core = core
        self._span: GuardSpan | None = None
        self._permit: Permit
        self._started: float | None = None

    @classmethod
    def continued(cls, core: BreakerCore, permit: Permit) -> Passage:
        """Return the passage of a call that was admitted already, has no span and is suspended."""
        passage = cls(core)
        passage._permit = permit
        return passage

    def enter(
        self,
        operation: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        span_of: object = None,
    ) -> None:
        """Get a permit and tell the listeners that the call begins.

        Args:
            operation: what is called.
            args: with these arguments.
            kwargs: and these.
            span_of: the identity by which stacked guards share a span; `operation` under its decorators, if left out.

        Raises:
            CircuitBreakerError: the breaker refuses the call.
        """
        self._start_span(operation, span_of)
        try:
            self._permit = self._core.admit()
        except CircuitBreakerError as error:
            self._refused(error)
            raise
        self._begin(operation, args, kwargs)

    async def enter_async(
        self,
        operation: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        span_of: object = None,
    ) -> None:
        """Do as `enter` does; where other processes have a say in the permit, the event loop goes on meanwhile.

        Raises:
            CircuitBreakerError: the breaker refuses the call.
        """
        self._start_span(operation, span_of)
        try:
            self._permit = await self._core.admit_async()
        except CircuitBreakerError as error:
            self._refused(error)
            raise
        except BaseException as error:
            self._end("failure", "ignored", error, self._core.machine.state)
            raise
        self._begin(operation, args, kwargs)

    def _start_span(self, operation: Callable[..., Any], span_of: object) -> None:
        if has_provider():
            signals = self._core.signals
            identity = root_of(operation) if span_of is None else span_of
            self._span = start_guard_span(signals.policy, identity, signals.span_attributes)
            self.resume()

    def _refused(self, error: CircuitBreakerError) -> None:
        self._end("rejected", "rejected", error, error.state, retry_after=error.retry_after)

    def _begin(self, operation: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._core.tell("before_call", operation, *args, **kwargs)
        self._started = self._core.start_of_call()

    def suspend(self) -> None:
        """Make the former span current again for a while: whoever iterates must not find itself inside this one."""
        if self._span is not None:
            self._span.__exit__()

    def resume(self) -> None:
        """Make the span current again."""
        if self._span is not None:
            self._span.__enter__()

    def succeed(self) -> None:
        """Report that the call succeeded."""
        outcome = self._core.settle_success(self._permit, self._started)
        self._end("success", outcome, None, self._permit.state)

    def fail(self, error: BaseException) -> None:
        """Report what the call raised.

        Raises:
            CircuitBreakerError: this failure opened the breaker; it stands in place of the call's error.
        """
        outcome, trip = self._core.settle_error(self._permit, self._started, error)
        self._end("failure", outcome, error, self._permit.state)
        if trip is not None:
            raise trip from error

    def _end(
        self,
        outcome: str,
        breaker_outcome: Outcome,
        error: BaseException | None,
        state: State,
        *,
        retry_after: float | None = None,
    ) -> None:
        span = self._span
        if span is None:
            return
        if state != "closed":
            span.set(semconv.BREAKER_STATE, state)
        if breaker_outcome != "success":
            span.set(semconv.BREAKER_OUTCOME, breaker_outcome)
        if retry_after is not None:
            span.set(semconv.BREAKER_RETRY_AFTER, retry_after)
        if breaker_outcome == "ignored" and error is not None:
            # The dependency did its part, or the caller went away: no failure of what this span stands for.
            span.set(semconv.ERROR_TYPE, error_type(error))
            error = None
        span.__exit__()
        span.end(outcome, error)
