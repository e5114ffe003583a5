"""Decisions in this process: one lock, an engine, and a line for each key that somebody waits for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from spanguard.clock import Clock
from spanguard.instrumentation.limits.signals import REJECTED, TIMED_OUT, Refusal
from spanguard.rate_limiter.lock import Desk
from spanguard.rate_limiter.making import local_engine
from spanguard.rate_limiter.pacing import Pace
from spanguard.rate_limiter.rules import Rule
from spanguard.rate_limiter.stats import LimiterStats, Record
from spanguard.rate_limiter.status import RateLimitStatus
from spanguard.rate_limiter.waiting import Line, TaskWaiter, ThreadWaiter, Waiter

W = TypeVar("W", bound=Waiter)


class LocalDesk(Desk):
    """Who may go now, who waits how long, and who is turned away. Safe from threads and event loops.

    Attributes:
        engine: what decides.
        lines: those who wait, by key; a key that nobody waits for has none.
    """

    def __init__(self, rules: Sequence[Rule], record: Record, places: int, clock: Clock) -> None:
        super().__init__()
        self.lines: dict[str, Line] = {}
        self.engine = local_engine(rules, self.lines)
        self._record = record
        self._places = places
        self._clock = clock
        self._monotonic = clock.monotonic

    @property
    def limit(self) -> int:
        """The most permits that one request can ask for."""
        return self.engine.limit

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return sum(len(line) for line in list(self.lines.values()))

    def acquire(self, key: str, tokens: int, wait: bool, timeout: float | None) -> RateLimitStatus:
        """Decide, and let this thread wait if it has to."""
        decided = self._enter(key, tokens, wait, timeout, ThreadWaiter)
        if not isinstance(decided, ThreadWaiter):
            return decided
        since, start = time.time_ns(), self._monotonic()
        try:
            decided.rearm()
            while (seconds := self._look(decided)) is not None:
                decided.sleep(self._clock, seconds)
                decided.rearm()
        except BaseException:
            self._give_up(decided)
            raise
        return self._resume(decided, since, start)

    async def acquire_async(
        self,
        key: str,
        tokens: int,
        wait: bool,
        timeout: float | None,  # noqa: ASYNC109 - it decides who may stand in line; it does not cut a wait short
    ) -> RateLimitStatus:
        """Decide, and let this task wait if it has to."""
        decided = self._enter(key, tokens, wait, timeout, TaskWaiter)
        if not isinstance(decided, TaskWaiter):
            return decided
        since, start = time.time_ns(), self._monotonic()
        try:
            decided.rearm()
            while (seconds := self._look(decided)) is not None:
                await decided.sleep(self._clock, seconds)
                decided.rearm()
        except BaseException:
            self._give_up(decided)
            raise
        return self._resume(decided, since, start)

    def peek(self, key: str, tokens: int) -> RateLimitStatus:
        """Say what a request would be told that does not wait, and take nothing."""
        with self._present() as now:
            line = self.lines.get(key)
            if line is None:
                return self.engine.peek(key, tokens, now)
            line.serve(now)
            return line.peek(tokens, now)

    async def peek_async(self, key: str, tokens: int) -> RateLimitStatus:
        """Say what `peek` says, which blocks no event loop."""
        return self.peek(key, tokens)

    def available(self) -> int:
        """Return how many permits a request without a key could take now."""
        return self.peek("", 1).remaining

    def reset(self, key: str) -> None:
        """Forget what was taken; those who wait are served."""
        with self._present() as now:
            line = self.lines.get(key)
            if line is not None:
                line.serve(now)
            self.engine.clear(key)
            if line is not None:
                line.serve(now)

    async def reset_async(self, key: str) -> None:
        """Do what `reset` does, which blocks no event loop."""
        self.reset(key)

    async def aclose(self) -> None:
        """Do nothing: there are no connections."""

    def change(self, rules: Sequence[Rule], changed: Callable[[], None]) -> None:
        """Decide by other rules from now on, and call `changed` under the lock. What was taken stays taken."""
        engine = local_engine(rules, self.lines)
        with self._present() as before:
            for line in self.lines.values():
                line.serve(before)
            now = engine.moment(self._monotonic())
            engine.inherit(self.engine, now)
            self.engine = engine
            for line in self.lines.values():
                line.change(engine, now)
            changed()

    def stats(self) -> LimiterStats:
        """Return the record's counts, with those who wait now."""
        with self._present():
            return self._record.stats(self.waiting)

    def start_again(self) -> None:
        """Go on in a forked child: who waited, and one that may have held the lock, exist only in the parent."""
        self.lock = threading.Lock()
        passed = RateLimitStatus(True, 0, 0.0, 0.0, self.engine.limit)
        for line in self.lines.values():
            for waiter in line:
                # A task of the loop that forked may live on in the child: it goes through rather than wait for ever.
                waiter.status = passed
        self.lines.clear()
        self.leaving.clear()
        self._record.start_again()

    def _enter(self, key: str, tokens: int, wait: bool, timeout: float | None, kind: type[W]) -> RateLimitStatus | W:
        with self._present() as now:
            line = self.lines.get(key)
            if line is None:
                status = self.engine.take(key, tokens, now)
            else:
                line.serve(now)
                status = line.take(tokens, now)
            if status.allowed:
                self._record.count_acquired()
                return status
            in_time = timeout is None or status.retry_after <= timeout
            line_full = False
            if wait and in_time:
                no_place_for = self._no_place_for(key, tokens, now)
                if no_place_for is None:
                    waiter = kind(key, tokens)
                    self.lines.setdefault(key, Line(self.engine, key)).join(waiter, now)
                    return waiter
                line_full = True
                status = status._replace(retry_after=max(status.retry_after, no_place_for))
            result: Refusal = TIMED_OUT if wait and not line_full else REJECTED
            self._record.count_refused(result, line_full=line_full)
        self._record.tell_refused(result, tokens, status, line_full=line_full)
        return status

    def _no_place_for(self, key: str, tokens: int, now: int) -> float | None:
        """Return for how many seconds at least there will be no place in the line; None if there is one."""
        if self.waiting >= self._places:
            return 0.0
        if isinstance(self.engine, Pace):
            line = self.lines.get(key)
            return self.engine.room_in(key, tokens, 0 if line is None else line.behind, now) or None
        return None

    def _settle(self) -> int:
        now = self.engine.moment(self._monotonic())
        while self.leaving:
            waiter = self.leaving.popleft()
            line = self.lines.get(waiter.key)
            if line is not None:
                self._record.cancelled += 1
                line.leave(waiter, now)
                self._tidy(waiter.key, line)
        return now

    def _tidy(self, key: str, line: Line) -> None:
        if not line:
            self.lines.pop(key, None)

    def _look(self, waiter: Waiter) -> float | None:
        """Serve the line; None if there is a decision for this waiter, else for how many seconds to sleep."""
        with self._present() as now:
            if waiter.status is None:
                self.lines[waiter.key].serve(now)
            return None if waiter.status is not None else (waiter.due - now) / self.engine.per_second

    def _resume(self, waiter: Waiter, since: int, start: float) -> RateLimitStatus:
        status = waiter.status
        assert status is not None, "a waiter goes on only with a decision"  # noqa: S101 - for the type checker
        with self._present():
            waited = self._monotonic() - start
            if status.allowed:
                self._record.count_acquired(waited)
            else:
                self._record.count_refused(REJECTED)
            line = self.lines.get(waiter.key)
            if line is not None:
                line.resumed(waiter)
                self._tidy(waiter.key, line)
        if status.allowed:
            self._record.signals.waited(waited, since=since)
        else:
            self._record.tell_refused(REJECTED, waiter.tokens, status)
        return status
