"""`AdaptiveLimiter`: so many calls at once as the other side can take, found from how long they take."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar

from spanguard import forms, semconv
from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.errors import BlockingWaitError, SpanguardError
from spanguard.permits import Permits, Stay, stand_in_queue, stand_in_queue_async
from spanguard.rate_limiter.adaptive.algorithms import Algorithm, Vegas
from spanguard.rate_limiter.adaptive.errors import AdaptiveLimitExceededError
from spanguard.rate_limiter.adaptive.meter import Meter
from spanguard.rate_limiter.adaptive.settings import DropOn, Settings
from spanguard.rate_limiter.adaptive.signals import latencies, tell_move, tell_refusal
from spanguard.rate_limiter.adaptive.stats import AdaptiveStats
from spanguard.semconv import SampleKind
from spanguard.telemetry import COUNTS, histograms
from spanguard.telemetry.internal import note_failure
from spanguard.telemetry.spans import GuardSpan, add_child, root_of

P = ParamSpec("P")
T = TypeVar("T")


class AdaptiveLimiter:
    """Lets as many calls run at once as do not make each other slow.

    It goes around the calls of a client, or the requests of a server. It measures each call that succeeds, and after each
    window the algorithm says what the limit is to be. A call that was dropped, since it timed out or was refused, brings
    the limit down; one that failed otherwise says nothing. A call beyond the limit is turned away at once, or waits
    in a fair queue. Safe from threads and tasks; in a forked child all permits are free.

        search = AdaptiveLimiter(name="search")

        @search                                       # also on async def
        def find(): ...

        with search.calling() as call:                # also async with
            answer = client.get(...)
            if answer.status_code in (429, 503):
                call.drop()

    Put a timeout inside, not around it: a call that is cancelled from outside says nothing.

    Args:
        algorithm: how the limit is found: `Vegas()`, the default, `Gradient2(...)` or `Aimd(...)`.
        initial: calls at once to begin with.
        minimum: calls at once that are always allowed, at least 1.
        maximum: calls at once that are never exceeded.
        queue: calls that may wait; 0 for none.
        max_wait: seconds in the queue at most; None for as long as it takes. A `deadline` around the call holds too.
        window: seconds that a window has at least. The limit moves no more often.
        window_calls: calls that a window has at least. Together as in Netflix's `WindowedLimit`: 1 s, 10 calls.
        drop_on: errors that mean that the call was dropped: classes, or a function that tells. With classes, the refusal of
            another guard is none, for the call was not made.
        event_step: the share of the limit by which it must have moved, since it was told last, to be told again; 0 for any
            whole call.
        name: the policy name in every signal; keep it low in cardinality.
        clock: what measures time.

    Raises:
        ConfigurationError: one or more settings are out of range or contradict each other; all are named.
    """

    def __init__(
        self,
        algorithm: Algorithm | None = None,
        *,
        initial: int = 20,
        minimum: int = 1,
        maximum: int = 200,
        queue: int = 0,
        max_wait: float | None = None,
        window: float = 1.0,
        window_calls: int = 10,
        drop_on: DropOn = TimeoutError,
        event_step: float = 0.1,
        name: str,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._name = forms.check_name("adaptive limiter", name)
        self._settings = Settings(initial, minimum, maximum, queue, max_wait, window, window_calls, event_step)
        self._settings.check(name)
        self._clock = clock
        self._is_drop: Callable[[BaseException], bool]
        if isinstance(drop_on, type | tuple):
            self._is_drop = lambda error: isinstance(error, drop_on) and not _is_refusal(error)
        else:
            self._is_drop = drop_on
        estimator = (algorithm or Vegas()).estimator()
        bounds = minimum, maximum
        self._meter = Meter(estimator, initial, bounds, window, window_calls, event_step, clock.monotonic())
        self._calls = forms.Tally(semconv.ADAPTIVE_CALLS_METRIC, name, semconv.ADAPTIVE_OUTCOME)
        self._samples = forms.Tally(semconv.ADAPTIVE_SAMPLES_METRIC, name, semconv.ADAPTIVE_SAMPLE)
        policy = {semconv.POLICY_NAME.key: name}
        self._admitted = COUNTS.cell(
            semconv.ADAPTIVE_CALLS_METRIC, {**policy, semconv.ADAPTIVE_OUTCOME.key: "admitted"}, owner=self
        )
        self._permits = Permits(initial, queue, self._admitted)
        COUNTS.observe(semconv.ADAPTIVE_LIMIT_METRIC, self, lambda limiter: [(policy, limiter.limit)])
        COUNTS.observe(semconv.ADAPTIVE_USAGE_METRIC, self, lambda limiter: [(policy, limiter._permits.in_use)])  # noqa: SLF001 - its own class
        COUNTS.observe(semconv.ADAPTIVE_QUEUED_METRIC, self, lambda limiter: [(policy, limiter._permits.queued)])  # noqa: SLF001 - its own class
        COUNTS.observe(semconv.ADAPTIVE_LATENCY_METRIC, self, lambda limiter: latencies(name, limiter._meter))  # noqa: SLF001 - its own class
        _limiters.add(self)

    def __repr__(self) -> str:
        return f"AdaptiveLimiter(limit={self.limit}, name={self._name!r})"

    @property
    def name(self) -> str:
        """The policy name in every signal."""
        return self._name

    @property
    def limit(self) -> int:
        """Calls that may run at once now."""
        return self._meter.limit

    def call(self, func: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call `func` as soon as the limit allows it, and learn from how it goes.

        Raises:
            AdaptiveLimitExceededError: as many calls run, and there is no place in the queue or no time to wait.
            BlockingWaitError: the limiter has a queue, and this thread runs an event loop; use `call_async`.
            TypeError: `func` returned a coroutine or a generator, whose work would be done without a permit.
        """
        with Calling(self, root_of(func)):
            return forms.finished(self._name, func(*args, **kwargs))

    async def call_async(self, func: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        """Await `func(*args, **kwargs)` as soon as the limit allows it, and learn from how it goes.

        Raises:
            AdaptiveLimitExceededError: as many calls run, and there is no place in the queue or no time to wait.
        """
        async with Calling(self, root_of(func)):
            return await func(*args, **kwargs)

    def calling(self) -> Calling:
        """Return a context manager, for `with` and `async with`, whose block is one call.

        Entering raises what `call` and `call_async` raise. Its `drop()` and `ignore()` say what to learn from a block that
        ends without an error.
        """
        return Calling(self, None)

    def __call__(self, function: Callable[P, T], /) -> Callable[P, T]:
        """Decorate a function or coroutine function.

        Raises:
            ConfigurationError: it is a generator function.
        """
        return forms.decorate(self._name, function, self.call, self.call_async)

    def stats(self) -> AdaptiveStats:
        """Return what is known now."""
        return AdaptiveStats(
            name=self._name,
            limit=self.limit,
            running=self._permits.in_use,
            queued=self._permits.queued,
            latency=self._meter.latency,
            baseline=self._meter.baseline,
            admitted=self._admitted.value + self._calls.total("admitted"),
            rejected=self._calls.total("rejected"),
            timed_out=self._calls.total("timed_out"),
            cancelled=self._calls.total("cancelled"),
            dropped=self._samples.total("dropped"),
        )

    def _enter(self, span: GuardSpan | None) -> Permits:
        """Return where the permit that this call now has must be given back."""
        if self._settings.queue and asyncio._get_running_loop() is not None:  # noqa: SLF001 - the public getter raises, at a microsecond each
            raise BlockingWaitError(
                f"adaptive limiter {self._name!r}: to wait in its queue would block the event loop of this thread; "
                "use `async def`, `await call_async(...)` or `async with calling()`"
            )
        permits = self._permits
        if permits.take():
            return permits
        try:
            stay = stand_in_queue(permits, self._clock, self._settings.max_wait)
        except BaseException:
            self._calls.bump("cancelled")
            raise
        return self._conclude(stay, permits, span)

    async def _enter_async(self, span: GuardSpan | None) -> Permits:
        permits = self._permits
        if permits.take():
            return permits
        try:
            stay = await stand_in_queue_async(permits, self._clock, self._settings.max_wait)
        except BaseException:
            self._calls.bump("cancelled")
            raise
        return self._conclude(stay, permits, span)

    def _conclude(self, stay: Stay | None, permits: Permits, span: GuardSpan | None) -> Permits:
        """Tell of a stay in the queue; return where its permit must be given back."""
        if stay is None:
            raise self._refuse("rejected", permits, 0.0, span)
        outcome = {semconv.ADAPTIVE_OUTCOME.key: "admitted" if stay.admitted else "timed_out"}
        policy = {semconv.POLICY_NAME.key: self._name}
        histograms.record(semconv.ADAPTIVE_TIME_IN_QUEUE_METRIC, stay.waited, {**policy, **outcome})
        add_child(semconv.QUEUE_SPAN, self._name, dict(outcome), start_time=stay.since)
        if not stay.admitted:
            raise self._refuse("timed_out", permits, stay.waited, span)
        self._calls.bump("admitted")
        return permits

    def _refuse(
        self, outcome: Literal["rejected", "timed_out"], permits: Permits, waited: float, span: GuardSpan | None
    ) -> AdaptiveLimitExceededError:
        self._calls.bump(outcome)
        limit, queued = self.limit, permits.queued
        tell_refusal(self._name, outcome, limit, queued, waited, span)
        return AdaptiveLimitExceededError(self._name, outcome, limit, queued, waited)

    def _learn(self, permits: Permits, sample: SampleKind, start: float) -> None:
        """Count how a call ended, and move the limit if its window is over. The call still has its permit."""
        self._samples.bump(sample)
        if sample == "ignored":
            return
        now = self._clock.monotonic()
        with self._meter.lock:
            is_over = self._meter.add(now - start if sample == "measured" else None, permits.in_use, now)
            if is_over and permits is self._permits:
                permits.resize(self._meter.limit, self._settings.queue)
            move = self._meter.moved() if is_over else None
        if move is not None:
            tell_move(self._name, move)

    def _says(self, error: BaseException) -> SampleKind:
        if isinstance(error, forms.CALLER_WENT_AWAY):
            return "ignored"
        try:
            return "dropped" if self._is_drop(error) else "ignored"
        except Exception as failure:  # noqa: BLE001 - a user's function must not replace the call's own error
            note_failure("adaptive limiter", failure)
            return "ignored"

    def _start_again_in_child(self) -> None:
        # Who runs and waits exists only in the parent, as may a thread that holds a lock.
        former, self._permits = self._permits, Permits(self.limit, self._settings.queue, self._admitted)
        self._meter.start_again(self._clock.monotonic())
        former.abandon()


class Calling:
    """What `calling()` returns: the block under `with` or `async with` is one call."""

    __slots__ = ("_limiter", "_operation", "_permits", "_sample", "_span", "_start")

    def __init__(self, limiter: AdaptiveLimiter, operation: object) -> None:
        self._limiter = limiter
        self._operation = self if operation is None else operation
        self._permits: Permits | None = None
        self._span: GuardSpan | None = None
        self._sample: SampleKind = "measured"
        self._start = 0.0

    def drop(self) -> None:
        """Say that the call was dropped, though the block ends well: an answer of 429 or 503, for instance."""
        self._sample = "dropped"

    def ignore(self) -> None:
        """Say that the time of this call means nothing: an answer from a cache, for instance."""
        self._sample = "ignored"

    def __enter__(self) -> Self:
        """Get a permit; raises what `AdaptiveLimiter.call` raises."""
        self._begin()
        try:
            self._permits = self._limiter._enter(self._span)  # noqa: SLF001 - its own module
        except BaseException as error:
            self._end(error)
            raise
        self._start = self._limiter._clock.monotonic()  # noqa: SLF001 - its own module
        return self

    async def __aenter__(self) -> Self:
        """Get a permit; raises what `AdaptiveLimiter.call_async` raises."""
        self._begin()
        try:
            self._permits = await self._limiter._enter_async(self._span)  # noqa: SLF001 - its own module
        except BaseException as error:
            self._end(error)
            raise
        self._start = self._limiter._clock.monotonic()  # noqa: SLF001 - its own module
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Learn from the call, and give the permit back; the block's error goes on."""
        permits, self._permits = self._permits, None
        if permits is None:
            return
        limiter = self._limiter
        try:
            limiter._learn(permits, self._sample if error is None else limiter._says(error), self._start)  # noqa: SLF001 - its own module
        finally:
            permits.give_back()
            self._end(error)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Learn from the call, and give the permit back, as `__exit__` does."""
        self.__exit__(kind, error, traceback)

    def _begin(self) -> None:
        if self._permits is not None:
            raise RuntimeError("this calling() block is under way; ask the limiter for another with calling().")
        self._sample = "measured"
        self._span = forms.new_span(self._limiter.name, self._operation)

    def _end(self, error: BaseException | None) -> None:
        span, self._span = self._span, None
        forms.end_span(span, error, is_refusal=isinstance(error, AdaptiveLimitExceededError))


def _is_refusal(error: BaseException) -> bool:
    return isinstance(error, SpanguardError) and not error.is_retryable


_limiters: weakref.WeakSet[AdaptiveLimiter] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for limiter in list(_limiters):
        limiter._start_again_in_child()  # noqa: SLF001 - its own module


os.register_at_fork(after_in_child=_after_fork_in_child)
