"""`Timeout`: a call has so many seconds. Tasks are cancelled when these are over; threads are told, never abandoned."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextvars import Token
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Literal, NoReturn, ParamSpec, Self, TypeVar

from opentelemetry._logs import SeverityNumber

from spanguard import forms, semconv
from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.errors import ConfigurationError, DeadlineExceededError, SpanguardError, notes_of
from spanguard.telemetry import emit
from spanguard.telemetry.deadline import Ends, current
from spanguard.telemetry.spans import GuardSpan, annotate, has_provider, root_of

P = ParamSpec("P")
T = TypeVar("T")
Outcome = Literal["in_time", "late", "timed_out", "not_begun"]


class CallTimeoutError(SpanguardError, TimeoutError):
    """The call did not end in its time: its task was cancelled, or its thread gave up when it saw that.

    Attributes:
        name: the timeout's name.
        seconds: the time that the call was given; less than that of the timeout where a deadline left less.
    """

    is_retryable: ClassVar[bool] = True

    def __init__(self, name: str, seconds: float) -> None:
        self.name = name
        self.seconds = seconds
        super().__init__(f"timeout {name!r}: the call did not end within {seconds:.3g} s.")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.name, self.seconds), notes_of(self)


@dataclass(frozen=True, slots=True)
class TimeoutStats:
    """What a timeout did since it was built.

    Attributes:
        name: the timeout's name.
        seconds: the time that a call has.
        in_time: calls that ended in time, whether well or not.
        late: calls in threads that came to an end by themselves after their time; their result was returned.
        timed_out: calls that ended with `CallTimeoutError`.
        not_begun: calls that had no time left to begin with.
    """

    name: str
    seconds: float
    in_time: int
    late: int
    timed_out: int
    not_begun: int


class Timeout:
    """Gives a call a number of seconds, or what a `deadline` around it leaves, if that is less.

    In a task the call is cancelled when its time is over, as `asyncio.timeout` does it. A cancellation from outside stays
    one, and a `TimeoutError` of the call's own stays what it is. A coroutine that swallows its cancellation is not
    ended.

    A thread cannot be ended from outside, so nothing pretends to: the time is a deadline, which all guards below keep to,
    and which the call can ask for with `remaining()` or `check_deadline()`. A call that asks gives up in time. One that
    does not comes to an end when it does: its result is returned, and counted as late.

        search = Timeout(2.0, name="search")

        @search                                      # on def and async def
        async def find(): ...

        async with search.calling(): ...             # also with

    Args:
        seconds: above 0 and finite.
        name: the policy name in every signal; keep it low in cardinality.
        clock: what measures time.

    Raises:
        ConfigurationError: a setting is out of range.
    """

    def __init__(self, seconds: float, *, name: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._name = forms.check_name("timeout", name)
        self.seconds = seconds
        self._clock = clock
        self._tally = forms.Tally(semconv.TIMEOUT_CALLS_METRIC, name, semconv.TIMEOUT_OUTCOME)
        self._in_time = self._tally.cell("in_time")

    def __repr__(self) -> str:
        return f"Timeout({self._seconds}, name={self._name!r})"

    @property
    def name(self) -> str:
        """The policy name in every signal."""
        return self._name

    @property
    def seconds(self) -> float:
        """The time that a call has. A change is for the calls that begin after it."""
        return self._seconds

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        problem = forms.wrong_seconds("seconds", seconds)
        if problem:
            raise ConfigurationError(f"timeout {self._name!r}: {problem}")
        self._seconds = seconds

    def call(self, func: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call `func`, which can ask how much time is left.

        Raises:
            CallTimeoutError: it, or a guard below it, saw that the time is over and gave up.
            DeadlineExceededError: a deadline around it has passed.
            TypeError: it returned a coroutine or a generator, whose work would be done outside.
        """
        outer, seconds = current.get(), self._seconds
        if has_provider() or (outer is not None and outer.remaining() <= seconds):
            with Calling(self, root_of(func)):
                return forms.finished(self._name, func(*args, **kwargs))
        clock = self._clock
        start = clock.monotonic()
        marker = current.set(Ends(start + seconds, clock))
        try:
            result = func(*args, **kwargs)
            if type(result) in forms.DEFERRED:
                forms.finished(self._name, result)
        except BaseException as error:
            Calling.continued(self, seconds, start, marker).__exit__(type(error), error, None)
            raise
        if clock.monotonic() - start > seconds:
            Calling.continued(self, seconds, start, marker).__exit__(None, None, None)
            return result
        current.reset(marker)
        with self._tally.lock:
            self._in_time.value += 1
        return result

    async def call_async(self, func: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        """Await `func(*args, **kwargs)`, and cancel it when its time is over.

        Raises:
            CallTimeoutError: it was cancelled, or saw itself that the time is over.
            DeadlineExceededError: a deadline around it has passed.
        """
        async with Calling(self, root_of(func)):
            return await func(*args, **kwargs)

    def calling(self, operation: object = None) -> Calling:
        """Return a context manager, for `with` and `async with`, whose block has so many seconds.

        Args:
            operation: what the block stands for: guards around one that are given the same object share a span.
        """
        return Calling(self, operation)

    def __call__(self, function: Callable[P, T], /) -> Callable[P, T]:
        """Decorate a function or coroutine function.

        Raises:
            ConfigurationError: it is a generator function.
        """
        return forms.decorate(self._name, function, self.call, self.call_async)

    def stats(self) -> TimeoutStats:
        """Return what is known now."""
        return TimeoutStats(
            name=self._name,
            seconds=self._seconds,
            in_time=self._tally.total("in_time"),
            late=self._tally.total("late"),
            timed_out=self._tally.total("timed_out"),
            not_begun=self._tally.total("not_begun"),
        )


class Calling:
    """What `calling()` returns: the block under `with` or `async with` has so many seconds."""

    __slots__ = ("_alarm", "_is_ours", "_limit", "_marker", "_operation", "_seconds", "_span", "_start", "_timeout")

    def __init__(self, timeout: Timeout, operation: object) -> None:
        self._timeout = timeout
        self._operation = operation
        self._marker: Token[Ends | None] | None = None
        self._span: GuardSpan | None = None
        self._limit: asyncio.Timeout | None = None
        self._alarm: asyncio.Task[None] | None = None
        self._seconds = self._start = 0.0
        self._is_ours = True

    @classmethod
    def continued(cls, timeout: Timeout, seconds: float, start: float, marker: Token[Ends | None]) -> Calling:
        """Return a block that has begun already, with a deadline of its own and no span."""
        calling = cls(timeout, None)
        calling._seconds, calling._start, calling._marker = seconds, start, marker
        return calling

    def __enter__(self) -> Self:
        """Begin.

        Raises:
            DeadlineExceededError: a deadline around the block has passed.
        """
        timeout, outer = self._timeout, current.get()
        if self._marker is not None:
            raise RuntimeError("this calling() block is under way; ask the timeout for another with calling().")
        clock = timeout._clock  # noqa: SLF001 - its own module
        self._seconds, self._is_ours = timeout.seconds, True
        self._span = forms.new_span(timeout.name, self._operation or self)
        if outer is not None and (left := outer.remaining()) <= timeout.seconds:
            self._seconds = left
            self._is_ours = False
            if left <= 0:
                self._refuse()
        self._start = clock.monotonic()
        # Not through `deadline`, whose checks and services cost more than all the rest of a call.
        self._marker = current.set(Ends(self._start + self._seconds, clock))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the block.

        Raises:
            CallTimeoutError: the block gave up because its time was over.
        """
        if self._marker is None:
            return
        elapsed = self._timeout._clock.monotonic() - self._start  # noqa: SLF001 - its own module
        if self._is_ours and isinstance(error, DeadlineExceededError) and elapsed >= self._seconds:
            self._end("timed_out", CallTimeoutError(self._timeout.name, self._seconds), elapsed, cause=error)
        self._end("late" if elapsed > self._seconds else "in_time", error, elapsed)

    async def __aenter__(self) -> Self:
        """Begin, as `__enter__` does; from now on the block's task is cancelled when the time is over."""
        self.__enter__()
        clock = self._timeout._clock  # noqa: SLF001 - its own module
        try:
            self._limit = asyncio.timeout(self._seconds if clock is SYSTEM_CLOCK else None)
            await self._limit.__aenter__()
        except RuntimeError as error:  # there is no task that could be cancelled
            self.__exit__(type(error), error, None)
            raise
        if clock is not SYSTEM_CLOCK:
            self._alarm = asyncio.ensure_future(_ring(self._limit, clock, self._seconds))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the block.

        Raises:
            CallTimeoutError: the block was cancelled because its time was over, or gave up itself.
        """
        limit, alarm = self._limit, self._alarm
        if limit is None or self._marker is None:
            return
        if alarm is not None:
            alarm.cancel()
        elapsed = self._timeout._clock.monotonic() - self._start  # noqa: SLF001 - its own module
        try:
            # It raises only in place of the cancellation that it asked for: all else in `error` is the block's own.
            await limit.__aexit__(kind, error, traceback)
        except TimeoutError:
            self._end("timed_out", CallTimeoutError(self._timeout.name, self._seconds), elapsed, cause=error)
        self.__exit__(kind, error, traceback)

    def _end(
        self, outcome: Outcome, error: BaseException | None, elapsed: float, *, cause: BaseException | None = None
    ) -> None:
        """Leave the deadline, tell how it went, and raise what takes the place of `cause`."""
        marker, self._marker = self._marker, None
        if marker is not None:
            # A block may be left in another context than it was entered in; that one has nothing to put back.
            try:  # noqa: SIM105 - `contextlib.suppress` would cost as much as all the rest here
                current.reset(marker)
            except ValueError:
                pass
        self._settle(outcome)
        if outcome in ("late", "timed_out"):
            name = self._timeout.name
            emit(
                semconv.TIMEOUT_EXCEEDED_EVENT,
                {
                    semconv.POLICY_NAME.key: name,
                    semconv.TIMEOUT_OUTCOME.key: outcome,
                    semconv.TIMEOUT_LIMIT.key: float(self._seconds),
                    semconv.TIMEOUT_ELAPSED.key: elapsed,
                },
                body=f"timeout {name!r}: a call took {elapsed:.3g} s of {self._seconds:.3g} s",
                severity=SeverityNumber.WARN,
            )
        forms.end_span(self._span, error)
        if cause is not None and error is not None:
            raise error from cause

    def _refuse(self) -> NoReturn:
        error = DeadlineExceededError(
            f"timeout {self._timeout.name!r}: the call was not begun: its deadline has passed."
        )
        self._settle("not_begun")
        forms.end_span(self._span, error, is_refusal=True)
        raise error

    def _settle(self, outcome: Outcome) -> None:
        self._timeout._tally.bump(outcome)  # noqa: SLF001 - its own module
        if outcome == "in_time":
            return
        if self._span is not None:
            self._span.set(semconv.TIMEOUT_OUTCOME, outcome)
        else:
            annotate({semconv.POLICY_NAME.key: self._timeout.name, semconv.TIMEOUT_OUTCOME.key: outcome})


async def _ring(limit: asyncio.Timeout, clock: Clock, seconds: float) -> None:
    """Let the limit be over when another clock than the event loop's says so."""
    await clock.sleep_async(seconds)
    with contextlib.suppress(RuntimeError):
        limit.reschedule(asyncio.get_running_loop().time())
