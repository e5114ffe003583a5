"""`TokenBucketLimiter`: who may go now, who waits how long, and who is turned away."""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
import weakref
from collections import deque
from dataclasses import dataclass
from typing import Final, TypeVar, cast

from spanguard import semconv
from spanguard.clock import SYSTEM_CLOCK, Clock, first_of
from spanguard.errors import ConfigurationError
from spanguard.instrumentation.limits.signals import REJECTED, TIMED_OUT, LimiterSignals
from spanguard.rate_limiter.buckets import TICKS_PER_SECOND, TokenBuckets, check_rate
from spanguard.rate_limiter.decorating import F, limited
from spanguard.rate_limiter.errors import BlockingWaitError, RateLimitExceededError
from spanguard.rate_limiter.status import RateLimitStatus
from spanguard.rate_limiter.waiting import AsyncWaiter, Line, Waiter

W = TypeVar("W", bound=Waiter)

STRATEGY: Final = "token_bucket"
_LONGEST_SLEEP: Final = 86_400.0  # what every platform's sleep can take; who wakes early looks and sleeps on

_limiters: weakref.WeakSet[TokenBucketLimiter] = weakref.WeakSet()


@dataclass(frozen=True, slots=True)
class LimiterStats:
    """What a limiter did in this process.

    Attributes:
        acquired: requests that got their permit, at once or after waiting.
        rejected: requests that would not wait and were turned away.
        timed_out: requests that would wait, but whose turn would have come after their timeout.
        waited: those of the acquired that had to wait.
        cancelled: requests that were cancelled while they waited; they used no permit.
        waiting: requests that wait now.
    """

    acquired: int
    rejected: int
    timed_out: int
    waited: int
    cancelled: int
    waiting: int

    @property
    def block_rate(self) -> float:
        """The share of the decided requests that got no permit, from 0 to 1."""
        refused = self.rejected + self.timed_out
        return refused / (self.acquired + refused) if refused else 0.0


class TokenBucketLimiter:
    """A rate limiter: `rate` permits a second on average, up to `burst` of them at once.

    Safe from threads and event loops, also mixed. Each key has a bucket of its own; no key ever appears in a signal.

        limiter = TokenBucketLimiter(rate=10, burst=20, name="search")
        if limiter.acquire():                                  # at once or not at all
            ...
        status = await limiter.acquire_async(wait=True, timeout=2.0)

        @limiter                                               # raises RateLimitExceededError
        def search(): ...

    Args:
        rate: permits a second, more than 0.
        burst: permits that are there after a quiet time, and the most that one request can ask for.
        name: the policy's name in every signal; "10/s" for a rate of 10, if left out.
        clock: where time comes from.

    Raises:
        ConfigurationError: a setting is out of range.
    """

    def __init__(self, rate: float, burst: int, *, name: str | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self._name = name if name is not None else f"{rate}/s"
        if not self._name:
            raise ConfigurationError("a limiter's name is empty; give it one that dashboards can show")
        self._rate = rate
        self._lines: dict[str, Line] = {}
        self._buckets = TokenBuckets(*check_rate(self._name, rate, burst), held=self._lines)
        self._burst = burst
        self._clock = clock
        self._monotonic = clock.monotonic
        self._take = self._buckets.take
        self._per_tick = self._buckets.per_tick
        self._lock = threading.Lock()
        # Who gives up may do so in the middle of a garbage collection, while this very thread holds the lock.
        self._leaving: deque[Waiter] = deque()
        self._signals = LimiterSignals(self._name, STRATEGY)
        self._acquired = self._signals.acquired
        self._rejected = self._signals.rejected
        self._timed_out = self._signals.cell(TIMED_OUT)
        self._waited = 0
        self._cancelled = 0
        self._before_fork = LimiterStats(0, 0, 0, 0, 0, 0)
        self._signals.observe(semconv.LIMITER_QUEUED_METRIC, self, _count_waiting)
        self._signals.observe(semconv.LIMITER_AVAILABLE_METRIC, self, _count_available)
        _limiters.add(self)

    @property
    def name(self) -> str:
        """The policy's name."""
        return self._name

    @property
    def rate(self) -> float:
        """Permits a second."""
        return self._rate

    @property
    def burst(self) -> int:
        """The most permits at once."""
        return self._burst

    def __repr__(self) -> str:
        return f"TokenBucketLimiter(rate={self._rate!r}, burst={self._burst!r}, name={self._name!r})"

    def acquire(
        self, tokens: int = 1, *, wait: bool = False, timeout: float | None = None, key: str = ""
    ) -> RateLimitStatus:
        """Ask for permits.

        Args:
            tokens: how many, from 1 to `burst`.
            wait: stand in line, first come, first served, until they are there.
            timeout: seconds to wait at most. A request whose turn would come later is told so at once.
            key: whose bucket; each key has its own. Who waits on one key holds up no other.

        Returns:
            The decision, true if the permits were given; `retry_after` says when to come back.

        Raises:
            ConfigurationError: more tokens than `burst` were asked for, or fewer than one, or a timeout makes no sense.
            BlockingWaitError: `wait` in a thread that runs an event loop; await `acquire_async` there.
        """
        # The way that most calls go, written out; whatever is not plain begins again below.
        if not wait and timeout is None and tokens.__class__ is int and 0 < tokens <= self._burst:
            with self._lock:
                if not self._lines and not self._leaving:
                    status = self._take(key, tokens, int(self._monotonic() * TICKS_PER_SECOND) * self._per_tick)
                    if status.allowed:
                        self._acquired.value += 1
                        return status
        if wait and asyncio._get_running_loop() is not None:  # noqa: SLF001 - the public getter raises, at a microsecond each
            raise BlockingWaitError(
                f"limiter {self._name!r}: acquire(wait=True) would block the event loop of this thread; "
                "use `await acquire_async(wait=True)`"
            )
        decided = self._enter(tokens, key, wait, timeout, Waiter)
        if isinstance(decided, Waiter):
            return self._wait(decided)
        return decided

    async def acquire_async(
        self,
        tokens: int = 1,
        *,
        wait: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - it decides who may stand in line; it does not cut a wait short
        key: str = "",
    ) -> RateLimitStatus:
        """Ask for permits, as `acquire` does; a wait suspends only this task. A cancelled wait uses no permit."""
        if not wait:
            return self.acquire(tokens, timeout=timeout, key=key)
        decided = self._enter(tokens, key, wait, timeout, AsyncWaiter)
        if isinstance(decided, AsyncWaiter):
            return await self._wait_async(decided)
        return decided

    def __call__(self, function: F) -> F:
        """Decorate a function, sync or async: each call takes one permit, or is not run.

        The decorated function raises `RateLimitExceededError` where there is no permit.
        """
        return limited(self._name, self._admit, function)

    def reconfigure(self, rate: float, burst: int) -> None:
        """Have these numbers from now on. What was used stays used, and who waits keeps the place in the line.

        Raises:
            ConfigurationError: a number is out of range.
        """
        exact_rate, burst = check_rate(self._name, rate, burst)
        with self._lock:
            seconds = self._monotonic()
            former, buckets = self._buckets, TokenBuckets(exact_rate, burst, held=self._lines)
            then, now = former.moment(seconds), buckets.moment(seconds)
            self._settle(then)
            for line in self._lines.values():
                line.serve(then)
            buckets.take_over(former, then, now)
            for line in self._lines.values():
                line.move(buckets, now)
            self._rate, self._burst = rate, burst
            self._buckets, self._take, self._per_tick = buckets, buckets.take, buckets.per_tick

    def stats(self) -> LimiterStats:
        """Return what the limiter did since it was made, or since this process was forked."""
        with self._lock:
            self._settle(self._now())
            now, then = self._totals(), self._before_fork
        return LimiterStats(
            acquired=now.acquired - then.acquired,
            rejected=now.rejected - then.rejected,
            timed_out=now.timed_out - then.timed_out,
            waited=now.waited - then.waited,
            cancelled=now.cancelled - then.cancelled,
            waiting=now.waiting,
        )

    def _now(self) -> int:
        return self._buckets.moment(self._monotonic())

    def _admit(self) -> None:
        status = self.acquire()
        if not status.allowed:
            raise RateLimitExceededError(self._name, status)

    def _enter(self, tokens: int, key: str, wait: bool, timeout: float | None, kind: type[W]) -> RateLimitStatus | W:
        if tokens.__class__ is not int or not 1 <= tokens <= self._burst or timeout is not None:
            self._check(tokens, wait, timeout)
        with self._lock:
            now = self._now()
            status = self._take_in_line(key, tokens, now)
            if status.allowed:
                self._acquired.value += 1
                return status
            if wait and (timeout is None or status.retry_after <= timeout):
                waiter = kind(key, tokens)
                self._lines.setdefault(key, Line(self._buckets, key)).join(waiter, now)
                return waiter
            (self._timed_out if wait else self._rejected).value += 1
        self._signals.refused(
            TIMED_OUT if wait else REJECTED, cost=tokens, limit=self._burst, retry_after=status.retry_after
        )
        return status

    def _check(self, tokens: int, wait: bool, timeout: float | None) -> None:
        if tokens.__class__ is not int or not 1 <= tokens <= self._burst:
            raise ConfigurationError(
                f"limiter {self._name!r}: {tokens!r} tokens were asked for; it can give whole numbers from 1 to its "
                f"burst of {self._burst}"
            )
        if timeout is not None and not wait:
            raise ConfigurationError(
                f"limiter {self._name!r}: timeout={timeout!r} has no meaning without wait=True; add that, or leave it out"
            )
        if timeout is not None and (math.isnan(timeout) or timeout < 0):
            raise ConfigurationError(
                f"limiter {self._name!r}: timeout is {timeout!r}; it must be 0 or more seconds, or None for no end"
            )

    def _take_in_line(self, key: str, tokens: int, now: int) -> RateLimitStatus:
        self._settle(now)
        line = self._lines.get(key)
        if line is None:
            return self._buckets.take(key, tokens, now)
        line.serve(now)
        return line.take(tokens, now)

    def _settle(self, now: int) -> None:
        while self._leaving:
            waiter = self._leaving.popleft()
            line = self._lines.get(waiter.key)
            if line is not None:
                self._cancelled += 1
                line.leave(waiter, now)
                self._tidy(waiter.key, line)

    def _tidy(self, key: str, line: Line) -> None:
        if not line:
            self._lines.pop(key, None)

    def _wait(self, waiter: Waiter) -> RateLimitStatus:
        since = time.time_ns()
        start = self._monotonic()
        try:
            while (delay := self._look(waiter)) is not None:
                self._clock.sleep(delay)
        except BaseException:
            self._give_up(waiter)
            raise
        return self._resume(waiter, since, start)

    async def _wait_async(self, waiter: AsyncWaiter) -> RateLimitStatus:
        since = time.time_ns()
        start = self._monotonic()
        try:
            while True:
                nudge = waiter.rearm()
                delay = self._look(waiter)
                if delay is None:
                    break
                await first_of(nudge, self._clock.sleep_async(delay))
        except BaseException:
            self._give_up(waiter)
            raise
        return self._resume(waiter, since, start)

    def _look(self, waiter: Waiter) -> float | None:
        """Serve the line; None if this waiter has been served, else for how long to sleep."""
        with self._lock:
            now = self._now()
            self._settle(now)
            if waiter.status is None:
                self._lines[waiter.key].serve(now)
            if waiter.status is not None:
                return None
            return min((waiter.due - now) / self._buckets.per_second, _LONGEST_SLEEP)

    def _resume(self, waiter: Waiter, since: int, start: float) -> RateLimitStatus:
        with self._lock:
            self._acquired.value += 1
            self._waited += 1
            line = self._lines.get(waiter.key)
            if line is not None:
                line.resumed(waiter)
                self._tidy(waiter.key, line)
            elapsed = self._monotonic() - start
        self._signals.waited(elapsed, since=since)
        return cast(RateLimitStatus, waiter.status)

    def _give_up(self, waiter: Waiter) -> None:
        self._leaving.append(waiter)
        # If the lock is taken, who has it or comes next sees to it.
        if self._lock.acquire(blocking=False):
            try:
                self._settle(self._now())
            finally:
                self._lock.release()

    def _totals(self) -> LimiterStats:
        return LimiterStats(
            acquired=self._acquired.value,
            rejected=self._rejected.value,
            timed_out=self._timed_out.value,
            waited=self._waited,
            cancelled=self._cancelled,
            waiting=_count_waiting(self),
        )

    def _start_again(self) -> None:
        # The threads that waited, and one that may have held the lock, exist only in the parent.
        self._lock = threading.Lock()
        passed = RateLimitStatus(True, 0, 0.0, 0.0, self._burst)
        for line in self._lines.values():
            for waiter in line:
                # A task of the loop that forked may live on in the child: it goes through rather than wait for ever.
                waiter.status = passed
        self._lines.clear()
        self._leaving.clear()
        self._before_fork = self._totals()


def _count_waiting(limiter: TokenBucketLimiter) -> int:
    return sum(len(line) for line in list(limiter._lines.values()))  # noqa: SLF001 - its own module


def _count_available(limiter: TokenBucketLimiter) -> int:
    buckets = limiter._buckets  # noqa: SLF001 - its own module
    return buckets.peek("", 1, buckets.moment(limiter._monotonic())).remaining  # noqa: SLF001 - the same


def _restart_all() -> None:
    for limiter in list(_limiters):
        limiter._start_again()  # noqa: SLF001 - its own module


os.register_at_fork(after_in_child=_restart_all)
