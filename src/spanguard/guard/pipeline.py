"""The policies of a guard as one function around a function, put together once.

Outermost first: dead letter, fallback, deadline, rate limiter, bulkhead, retry, circuit breaker, timeout, the call.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from spanguard import forms, semconv
from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.error_handling import (
    Bulkhead,
    BulkheadFullError,
    CircuitBreaker,
    CircuitBreakerError,
    DeadlineExceededError,
    GracefulDegradation,
    Retry,
    Timeout,
)
from spanguard.guard.letters import Letters, count_attempt
from spanguard.guard.stats import GuardStats
from spanguard.rate_limiter import RateLimiter, RateLimitExceededError, RateLimitStatus
from spanguard.telemetry.deadline import remaining
from spanguard.telemetry.spans import GuardSpan, annotate, root_of

Call = Callable[..., Any]
Wrap = Callable[[Call, Call], Call]
"""Puts a policy around the stages below it; the second argument is the function that all of them guard."""

_arrived: Final[ContextVar[float | None]] = ContextVar("spanguard.guard.arrived", default=None)


def is_refusal(error: BaseException) -> bool:
    """Tell whether a call ended so because it was not made."""
    if isinstance(error, CircuitBreakerError):
        return not error.was_called
    return isinstance(error, RateLimitExceededError | BulkheadFullError | DeadlineExceededError)


@dataclass(frozen=True, slots=True)
class Admission:
    """A rate limiter, and for how many seconds a call waits for it."""

    limiter: RateLimiter
    max_wait: float

    def admit(self) -> None:
        """Let a call pass.

        Raises:
            RateLimitExceededError: there is no permit in time.
            BlockingWaitError: a wait would block the event loop of this thread.
        """
        self.check(
            self.limiter.acquire(wait=True, timeout=self.patience()) if self.max_wait else self.limiter.acquire()
        )

    async def admit_async(self) -> None:
        """Let a call pass, as `admit` does."""
        self.check(
            await self.limiter.acquire_async(wait=True, timeout=self.patience())
            if self.max_wait
            else await self.limiter.acquire_async()
        )

    def patience(self) -> float:
        """Return the seconds that a call waits: no longer than its deadline lets it."""
        left = remaining()
        return self.max_wait if left is None else min(self.max_wait, left)

    def check(self, status: RateLimitStatus) -> None:
        """Raise if there was no permit."""
        if not status.allowed:
            raise RateLimitExceededError(self.limiter.name, status)


@dataclass(frozen=True, slots=True)
class Policies:
    """What a guard is made of."""

    rate_limiter: Admission | None = None
    bulkhead: Bulkhead | None = None
    retry: Retry | None = None
    circuit_breaker: CircuitBreaker | None = None
    timeout: Timeout | None = None
    deadline: Timeout | None = None
    fallback: GracefulDegradation | None = None
    letters: Letters | None = None

    def stats(self, name: str) -> GuardStats:
        """Return what each of them knows now."""
        return GuardStats(
            name=name,
            deadline=self.deadline.stats() if self.deadline else None,
            rate_limiter=self.rate_limiter.limiter.stats() if self.rate_limiter else None,
            bulkhead=self.bulkhead.stats() if self.bulkhead else None,
            retry=self.retry.stats() if self.retry else None,
            circuit_breaker=self.circuit_breaker.stats() if self.circuit_breaker else None,
            timeout=self.timeout.stats() if self.timeout else None,
            fallback=self.fallback.stats() if self.fallback else None,
            dead_letter=self.letters.queue.name if self.letters else None,
        )


class Bound(NamedTuple):
    """A function under all policies.

    Attributes:
        plain: for where nothing records.
        watched: puts the call under its span.
    """

    plain: Call
    watched: Call


class Pipeline:
    """The way of a guard's calls: what began on one ends on it.

    Args:
        name: the guard's name.
        policies: what the way leads through.
        clock: what measures the time in queues.
    """

    __slots__ = ("_clock", "_name", "_wraps", "_wraps_async", "policies")

    def __init__(self, name: str, policies: Policies, clock: Clock = SYSTEM_CLOCK) -> None:
        self._name = name
        self._clock = clock
        self.policies = policies
        self._wraps = _below_queues(policies, is_async=False), _queues_and_above(policies, is_async=False)
        self._wraps_async = _below_queues(policies, is_async=True), _queues_and_above(policies, is_async=True)

    def bind(self, func: Call) -> Bound:
        """Return a function guarded."""
        name, clock, operation = self._name, self._clock, root_of(func)
        recorded: Call | None = None

        def watched(*args: Any, **kwargs: Any) -> Any:
            nonlocal recorded
            span = forms.new_span(name, operation)
            if span is None:
                return plain(*args, **kwargs)
            recorded = recorded or self._stack(self._wraps, func, _note_queue(clock))
            marker = _arrived.set(clock.monotonic())
            try:
                result = recorded(*args, **kwargs)
            except BaseException as error:
                forms.end_span(span, error, is_refusal=is_refusal(error))
                raise
            finally:
                _arrived.reset(marker)
            forms.end_span(span, None)
            return result

        plain = self._stack(self._wraps, func)
        return Bound(plain, watched)

    def bind_async(self, func: Call) -> Bound:
        """Return a coroutine function guarded."""
        name, clock, operation = self._name, self._clock, root_of(func)
        recorded: Call | None = None

        async def watched(*args: Any, **kwargs: Any) -> Any:
            nonlocal recorded
            span = forms.new_span(name, operation)
            if span is None:
                return await plain(*args, **kwargs)
            recorded = recorded or self._stack(self._wraps_async, func, _note_queue_async(clock))
            marker = _arrived.set(clock.monotonic())
            try:
                result = await recorded(*args, **kwargs)
            except BaseException as error:
                forms.end_span(span, error, is_refusal=is_refusal(error))
                raise
            finally:
                _arrived.reset(marker)
            forms.end_span(span, None)
            return result

        plain = self._stack(self._wraps_async, func)
        return Bound(plain, watched)

    def now(self) -> float:
        """Return the present, by the clock of the guard."""
        return self._clock.monotonic()

    def note_admitted(self, span: GuardSpan | None, arrived: float) -> None:
        """Write the time in queues on the span of a block."""
        if span is not None and _has_queue(self.policies):
            span.set(semconv.TIME_IN_QUEUE, self._clock.monotonic() - arrived)

    def _stack(self, wraps: tuple[list[Wrap], list[Wrap]], func: Call, noted: Wrap | None = None) -> Call:
        below, above = wraps
        notes = [noted] if noted is not None and _has_queue(self.policies) else []
        stage = func
        for wrap in (*below, *notes, *above):
            stage = wrap(stage, func)
        return stage


def _has_queue(policies: Policies) -> bool:
    return policies.rate_limiter is not None or policies.bulkhead is not None


# --- the order of every guard, the innermost first -----------------------------------------------------------------


def _below_queues(policies: Policies, *, is_async: bool) -> list[Wrap]:
    wraps: list[Wrap] = []
    if policies.timeout is not None:
        wraps.append(_through(policies.timeout, is_async=is_async))
    elif not is_async:
        wraps.append(_finished)
    if policies.circuit_breaker is not None:
        wraps.append(_through(policies.circuit_breaker, is_async=is_async))
    if policies.letters is not None:
        wraps.append(count_attempt)
    if policies.retry is not None:
        wraps.append(_named(policies.retry.bind_async if is_async else policies.retry.bind))
    return wraps


def _queues_and_above(policies: Policies, *, is_async: bool) -> list[Wrap]:
    wraps: list[Wrap] = []
    if policies.bulkhead is not None:
        wraps.append(_through(policies.bulkhead, is_async=is_async))
    if policies.rate_limiter is not None:
        wraps.append((_limited_async if is_async else _limited)(policies.rate_limiter))
    if policies.deadline is not None:
        wraps.append(_through(policies.deadline, is_async=is_async))
    if policies.fallback is not None:
        wraps += [_Same, _through(policies.fallback, is_async=is_async)]
    if policies.letters is not None:
        wraps.append(policies.letters.wrap_async if is_async else policies.letters.wrap)
    return wraps


# --- the stages: each knows by `__wrapped__` what it guards, so that all of them share one span ---------------------


def _through(policy: Bulkhead | CircuitBreaker | GracefulDegradation | Timeout, *, is_async: bool) -> Wrap:
    call: Call = policy.call_async if is_async else policy.call

    def wrap(stage: Call, func: Call) -> Call:
        return _known_as(func, functools.partial(call, stage))

    return wrap


def _finished(stage: Call, func: Call) -> Call:
    """Refuse what a timeout refuses as well: a result whose work is not done."""
    name = getattr(func, "__qualname__", type(func).__qualname__)

    def finished(*args: Any, **kwargs: Any) -> Any:
        result = stage(*args, **kwargs)
        return forms.finished(name, result) if type(result) in forms.DEFERRED else result

    return _known_as(func, finished)


def _named(bind: Callable[[Call], Call]) -> Wrap:
    def wrap(stage: Call, func: Call) -> Call:
        return _known_as(func, bind(stage))

    return wrap


def _limited(admission: Admission) -> Wrap:
    admit, acquire, check = admission.admit, admission.limiter.acquire, admission.check

    def wrap(stage: Call, func: Call) -> Call:
        def limited(*args: Any, **kwargs: Any) -> Any:
            admit()
            return stage(*args, **kwargs)

        def limited_at_once(*args: Any, **kwargs: Any) -> Any:
            status = acquire()
            if not status.allowed:
                check(status)
            return stage(*args, **kwargs)

        return _known_as(func, limited if admission.max_wait else limited_at_once)

    return wrap


def _limited_async(admission: Admission) -> Wrap:
    admit = admission.admit_async

    def wrap(stage: Call, func: Call) -> Call:
        async def limited(*args: Any, **kwargs: Any) -> Any:
            await admit()
            return await stage(*args, **kwargs)

        return _known_as(func, limited)

    return wrap


def _note_queue(clock: Clock) -> Wrap:
    def wrap(stage: Call, func: Call) -> Call:
        def admitted(*args: Any, **kwargs: Any) -> Any:
            _note_time(clock)
            return stage(*args, **kwargs)

        return _known_as(func, admitted)

    return wrap


def _note_queue_async(clock: Clock) -> Wrap:
    def wrap(stage: Call, func: Call) -> Call:
        async def admitted(*args: Any, **kwargs: Any) -> Any:
            _note_time(clock)
            return await stage(*args, **kwargs)

        return _known_as(func, admitted)

    return wrap


def _note_time(clock: Clock) -> None:
    arrived = _arrived.get()
    if arrived is not None:
        annotate({semconv.TIME_IN_QUEUE.key: clock.monotonic() - arrived})


def _known_as(func: Call, stage: Call) -> Call:
    stage.__dict__["__wrapped__"] = func
    return stage


class _Same:
    """A stage that equals every other one of the same function: the last good answers are kept by that."""

    __slots__ = ("__wrapped__", "_stage")

    def __init__(self, stage: Call, func: Call) -> None:
        self._stage = stage
        self.__wrapped__ = func

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._stage(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.__wrapped__ == other.__wrapped__

    def __hash__(self) -> int:
        return hash(self.__wrapped__)


class OpenPipeline(Pipeline):
    """The way of all calls while the guards are off."""

    def __init__(self) -> None:
        super().__init__("off", Policies())

    def bind(self, func: Call) -> Bound:
        """Return the function itself."""
        return Bound(func, func)

    def bind_async(self, func: Call) -> Bound:
        """Return the function itself."""
        return Bound(func, func)


OFF: Final = OpenPipeline()
