"""`Bulkhead`: so many calls at once, so many in the queue, and no more."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar

from opentelemetry._logs import SeverityNumber

from spanguard import forms, semconv
from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.error_handling.bulkhead.errors import BulkheadFullError
from spanguard.error_handling.bulkhead.settings import check
from spanguard.error_handling.bulkhead.stats import BulkheadStats
from spanguard.errors import BlockingWaitError
from spanguard.permits import Permits, Stay, stand_in_queue, stand_in_queue_async
from spanguard.telemetry import COUNTS, emit, histograms
from spanguard.telemetry.spans import GuardSpan, add_child, annotate, has_provider, root_of

P = ParamSpec("P")
T = TypeVar("T")


class Bulkhead:
    """Lets a limited number of calls run at once, so that a slow dependency cannot take every thread or connection.

    The others wait in one queue, first come, first served, threads and tasks alike; when that is full they are turned
    away. A call that is cancelled at whatever point leaves no permit behind. Safe from threads and tasks; in a forked
    child all permits are free, since the calls that hold them run in the parent.

        reports = Bulkhead(4, queue=16, max_wait=2.0, name="reports")

        @reports                                     # also on async def
        def render(): ...

        with reports.calling(): ...                  # also async with

    Args:
        limit: calls at once, at least 1.
        queue: calls that may wait. 0, the default of resilience4j and Polly: a call is admitted at once or not at all.
        max_wait: seconds in the queue at most; None for as long as it takes. A `deadline` around the call holds too.
        name: the policy name in every signal; keep it low in cardinality.
        clock: what measures time.

    Raises:
        ConfigurationError: one or more settings are out of range or contradict each other; all are named.
    """

    def __init__(
        self, limit: int, queue: int = 0, max_wait: float | None = None, *, name: str, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._name = forms.check_name("bulkhead", name)
        check(name, limit, queue, max_wait)
        self._limit = limit
        self._queue = queue
        self._max_wait = max_wait
        self._clock = clock
        self._tally = forms.Tally(semconv.BULKHEAD_CALLS_METRIC, name, semconv.BULKHEAD_OUTCOME)
        policy = {semconv.POLICY_NAME.key: name}
        self._admitted = COUNTS.cell(
            semconv.BULKHEAD_CALLS_METRIC, {**policy, semconv.BULKHEAD_OUTCOME.key: "admitted"}, owner=self
        )
        self._permits = Permits(limit, queue, self._admitted)
        COUNTS.observe(semconv.BULKHEAD_LIMIT_METRIC, self, lambda bulkhead: [(policy, bulkhead.limit)])
        COUNTS.observe(semconv.BULKHEAD_USAGE_METRIC, self, lambda bulkhead: [(policy, bulkhead.stats().running)])
        COUNTS.observe(semconv.BULKHEAD_QUEUED_METRIC, self, lambda bulkhead: [(policy, bulkhead.stats().queued)])
        _bulkheads.add(self)

    def __repr__(self) -> str:
        return f"Bulkhead({self._limit}, queue={self._queue}, max_wait={self._max_wait}, name={self._name!r})"

    @property
    def name(self) -> str:
        """The policy name in every signal."""
        return self._name

    @property
    def limit(self) -> int:
        """Calls that may run at once."""
        return self._limit

    @property
    def queue(self) -> int:
        """Calls that may wait."""
        return self._queue

    @property
    def max_wait(self) -> float | None:
        """Seconds in the queue at most."""
        return self._max_wait

    def call(self, func: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call `func` as soon as there is a permit.

        Raises:
            BulkheadFullError: there was none, and no place in the queue or no time to wait.
            BlockingWaitError: the bulkhead has a queue, and this thread runs an event loop; use `call_async`.
            TypeError: `func` returned a coroutine or a generator, whose work would be done without a permit.
        """
        if has_provider():
            with forms.spanned(self._name, root_of(func), BulkheadFullError) as span:
                permits = self._enter(span)
                try:
                    return forms.finished(self._name, func(*args, **kwargs))
                finally:
                    permits.give_back()
        permits = self._permits
        # The public getter of the loop raises, at a microsecond each.
        if (self._queue and asyncio._get_running_loop() is not None) or not permits.take():  # noqa: SLF001
            permits = self._enter()
        try:
            result = func(*args, **kwargs)
        finally:
            permits.give_back()
        return forms.finished(self._name, result) if type(result) in forms.DEFERRED else result

    async def call_async(self, func: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        """Await `func(*args, **kwargs)` as soon as there is a permit.

        Raises:
            BulkheadFullError: there was none, and no place in the queue or no time to wait.
        """
        if has_provider():
            with forms.spanned(self._name, root_of(func), BulkheadFullError) as span:
                permits = await self._enter_async(span)
                try:
                    return await func(*args, **kwargs)
                finally:
                    permits.give_back()
        permits = self._permits
        if not permits.take():
            permits = await self._stand_in_queue_async(permits, None)
        try:
            return await func(*args, **kwargs)
        finally:
            permits.give_back()

    def calling(self, operation: object = None) -> Calling:
        """Return a context manager, for `with` and `async with`, whose block runs with a permit.

        Entering raises what `call` and `call_async` raise.

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

    def resize(self, *, limit: int | None = None, queue: int | None = None) -> None:
        """Change the numbers while calls run, as `reconfigure` does; what is left out stays.

        Raises:
            ConfigurationError: a number is out of range.
        """
        self.reconfigure(
            self._limit if limit is None else limit, self._queue if queue is None else queue, self._max_wait
        )

    def reconfigure(self, limit: int, queue: int = 0, max_wait: float | None = None) -> None:
        """Have these settings from now on. Whoever has a permit or a place keeps it; who waits does so as it began.

        Raises:
            ConfigurationError: one or more settings are out of range or contradict each other; all are named.
        """
        check(self._name, limit, queue, max_wait)
        self._limit, self._queue, self._max_wait = limit, queue, max_wait
        self._permits.resize(limit, queue)

    def stats(self) -> BulkheadStats:
        """Return what is known now."""
        permits = self._permits
        return BulkheadStats(
            name=self._name,
            limit=self._limit,
            running=permits.in_use,
            queued=permits.queued,
            admitted=self._admitted.value + self._tally.total("admitted"),
            rejected=self._tally.total("rejected"),
            timed_out=self._tally.total("timed_out"),
            cancelled=self._tally.total("cancelled"),
        )

    def _enter(self, span: GuardSpan | None = None) -> Permits:
        """Return where the permit that this call now has must be given back."""
        if self._queue and asyncio._get_running_loop() is not None:  # noqa: SLF001 - the public getter raises, at a microsecond each
            raise BlockingWaitError(
                f"bulkhead {self._name!r}: to wait in its queue would block the event loop of this thread; "
                "use `async def`, `await call_async(...)` or `async with calling()`"
            )
        permits = self._permits
        return permits if permits.take() else self._stand_in_queue(permits, span)

    async def _enter_async(self, span: GuardSpan | None) -> Permits:
        permits = self._permits
        return permits if permits.take() else await self._stand_in_queue_async(permits, span)

    def _stand_in_queue(self, permits: Permits, span: GuardSpan | None) -> Permits:
        try:
            stay = stand_in_queue(permits, self._clock, self._max_wait)
        except BaseException:
            self._tally.bump("cancelled")
            raise
        return self._conclude(stay, permits, span)

    async def _stand_in_queue_async(self, permits: Permits, span: GuardSpan | None) -> Permits:
        try:
            stay = await stand_in_queue_async(permits, self._clock, self._max_wait)
        except BaseException:
            self._tally.bump("cancelled")
            raise
        return self._conclude(stay, permits, span)

    def _conclude(self, stay: Stay | None, permits: Permits, span: GuardSpan | None) -> Permits:
        """Tell of a stay in the queue; return where its permit must be given back."""
        if stay is None:
            raise self._refuse("rejected", permits, span)
        outcome = {semconv.BULKHEAD_OUTCOME.key: "admitted" if stay.admitted else "timed_out"}
        policy = {semconv.POLICY_NAME.key: self._name}
        histograms.record(semconv.BULKHEAD_TIME_IN_QUEUE_METRIC, stay.waited, {**policy, **outcome})
        add_child(semconv.QUEUE_SPAN, self._name, dict(outcome), start_time=stay.since)
        if not stay.admitted:
            raise self._refuse("timed_out", permits, span, stay.waited)
        self._tally.bump("admitted")
        return permits

    def _refuse(
        self, outcome: Literal["rejected", "timed_out"], permits: Permits, span: GuardSpan | None, waited: float = 0.0
    ) -> BulkheadFullError:
        """Count and tell that a call was turned away; return the error."""
        queued = permits.queued
        self._tally.bump(outcome)
        decision: dict[str, str | float | bool] = {
            semconv.POLICY_NAME.key: self._name,
            semconv.BULKHEAD_OUTCOME.key: outcome,
        }
        if span is not None:
            span.set(semconv.BULKHEAD_OUTCOME, outcome)
        else:
            annotate(decision)
        emit(
            semconv.BULKHEAD_REJECTED_EVENT,
            {
                **decision,
                semconv.BULKHEAD_PERMITS.key: self._limit,
                semconv.BULKHEAD_QUEUED.key: queued,
                semconv.BULKHEAD_WAITED.key: waited,
            },
            body=f"bulkhead {self._name!r} turned a call away",
            severity=SeverityNumber.WARN,
        )
        return BulkheadFullError(self._name, outcome, self._limit, queued, waited)

    def _start_again_in_child(self) -> None:
        # Who runs and waits exists only in the parent, as may a thread that holds the lock.
        former, self._permits = self._permits, Permits(self._limit, self._queue, self._admitted)
        former.abandon()


class Calling:
    """What `calling()` returns: the block under `with` or `async with` runs with a permit."""

    __slots__ = ("_bulkhead", "_operation", "_permits", "_span")

    def __init__(self, bulkhead: Bulkhead, operation: object) -> None:
        self._bulkhead = bulkhead
        self._operation = operation or self
        self._permits: Permits | None = None
        self._span: GuardSpan | None = None

    def __enter__(self) -> Self:
        """Get a permit; raises what `Bulkhead.call` raises."""
        self._begin()
        try:
            self._permits = self._bulkhead._enter(self._span)  # noqa: SLF001 - its own module
        except BaseException as error:
            self._end(error)
            raise
        return self

    async def __aenter__(self) -> Self:
        """Get a permit; raises what `Bulkhead.call_async` raises."""
        self._begin()
        try:
            self._permits = await self._bulkhead._enter_async(self._span)  # noqa: SLF001 - its own module
        except BaseException as error:
            self._end(error)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give the permit back; the block's error goes on."""
        permits, self._permits = self._permits, None
        if permits is not None:
            permits.give_back()
            span, self._span = self._span, None
            forms.end_span(span, error)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give the permit back, as `__exit__` does."""
        self.__exit__(kind, error, traceback)

    def _begin(self) -> None:
        if self._permits is not None:
            raise RuntimeError("this calling() block is under way; ask the bulkhead for another with calling().")
        self._span = forms.new_span(self._bulkhead.name, self._operation)

    def _end(self, error: BaseException) -> None:
        span, self._span = self._span, None
        forms.end_span(span, error, is_refusal=isinstance(error, BulkheadFullError))


_bulkheads: weakref.WeakSet[Bulkhead] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for bulkhead in list(_bulkheads):
        bulkhead._start_again_in_child()  # noqa: SLF001 - its own module


os.register_at_fork(after_in_child=_after_fork_in_child)
