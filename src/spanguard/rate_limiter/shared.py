"""Decisions at a storage that is shared with other limiters or processes, with a line of this process's own before it.

How a request fares is told once, as a generator of steps; what carries them out blocks a thread or suspends a task.
"""

from __future__ import annotations

import asyncio
import functools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from enum import Enum
from typing import cast

from spanguard.clock import Clock
from spanguard.instrumentation.limits.signals import REJECTED, TIMED_OUT, Refusal
from spanguard.rate_limiter.deciding import AsyncDecider
from spanguard.rate_limiter.lock import Desk
from spanguard.rate_limiter.making import QUEUE
from spanguard.rate_limiter.rules import Rule
from spanguard.rate_limiter.sources import Sources
from spanguard.rate_limiter.stats import LimiterStats, Record
from spanguard.rate_limiter.status import RateLimitStatus
from spanguard.rate_limiter.waiting import TaskWaiter, ThreadWaiter, Waiter


class Ask(Enum):
    """What to ask the storage."""

    TAKE = "take"
    PEEK = "peek"


Step = Ask | float
"""Something to ask, or how many seconds to sleep."""
Steps = Generator[Step, RateLimitStatus | None, RateLimitStatus]


class SharedDesk(Desk):
    """Who may go now, who waits, and who is turned away. Safe from threads and event loops.

    Of each key's line only the first asks the storage, as the others would ask in vain; it asks again when the storage
    said that it might be admitted. In this process it is first come, first served; others may come in between.
    """

    def __init__(self, sources: Sources, rules: Sequence[Rule], record: Record, places: int, clock: Clock) -> None:
        super().__init__()
        self._sources = sources
        self._rules = tuple(rules)
        self._record = record
        self._places = places
        self._clock = clock
        self._monotonic = clock.monotonic
        self._lines: dict[str, deque[Waiter]] = {}
        self._asleep: set[Waiter] = set()
        self._handed_on: dict[str, tuple[int, RateLimitStatus]] = {}
        self._available = self.limit

    @property
    def limit(self) -> int:
        """The most permits that one request can ask for."""
        return min(rule.limit for rule in self._rules)

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return len(self._asleep)

    def available(self) -> int:
        """Return how many permits were left for requests without a key when the storage last told."""
        return self._available

    def acquire(self, key: str, tokens: int, wait: bool, timeout: float | None) -> RateLimitStatus:
        """Decide, and let this thread wait if it has to."""
        decider = self._sources.for_threads()
        waiter = ThreadWaiter(key, tokens)
        steps = self._steps(waiter, wait, timeout)
        answer = None
        try:
            while True:
                step = steps.send(answer)
                answer = None
                if isinstance(step, Ask):
                    answer = decider.decide(key, tokens) if step is Ask.TAKE else decider.peek(key, tokens)
                else:
                    waiter.sleep(self._clock, step)
        except StopIteration as end:
            return cast(RateLimitStatus, end.value)
        finally:
            steps.close()

    async def acquire_async(
        self,
        key: str,
        tokens: int,
        wait: bool,
        timeout: float | None,  # noqa: ASYNC109 - it decides who may stand in line; it does not cut a wait short
    ) -> RateLimitStatus:
        """Decide, and let this task wait if it has to."""
        decider = self._sources.for_tasks()
        waiter = TaskWaiter(key, tokens)
        steps = self._steps(waiter, wait, timeout)
        answer = None
        try:
            while True:
                step = steps.send(answer)
                answer = None
                if step is Ask.TAKE:
                    answer = await self._decided(decider, waiter)
                elif step is Ask.PEEK:
                    answer = await decider.peek(key, tokens)
                else:
                    await waiter.sleep(self._clock, step)
        except StopIteration as end:
            return cast(RateLimitStatus, end.value)
        finally:
            steps.close()

    def peek(self, key: str, tokens: int) -> RateLimitStatus:
        """Say what a request would be told that does not wait, and take nothing."""
        status = self._sources.for_threads().peek(key, tokens)
        return self._behind_others(status) if key in self._lines else status

    async def peek_async(self, key: str, tokens: int) -> RateLimitStatus:
        """Say what a request would be told that does not wait, and take nothing."""
        status = await self._sources.for_tasks().peek(key, tokens)
        return self._behind_others(status) if key in self._lines else status

    def reset(self, key: str) -> None:
        """Forget what was taken; the first of those who wait asks again."""
        self._sources.for_threads().reset(key)
        self._wake_first(key)

    async def reset_async(self, key: str) -> None:
        """Forget what was taken; the first of those who wait asks again."""
        await self._sources.for_tasks().reset(key)
        self._wake_first(key)

    async def aclose(self) -> None:
        """Close the connections that were opened for the running event loop."""
        await self._sources.aclose()

    def change(self, rules: Sequence[Rule], changed: Callable[[], None]) -> None:
        """Decide by other rules from now on, and call `changed` under the lock. What was taken stays taken."""
        self._sources.change(rules)
        with self._present():
            self._rules = tuple(rules)
            changed()
            for line in self._lines.values():
                line[0].wake()

    def stats(self) -> LimiterStats:
        """Return the record's counts, with those who wait now."""
        with self._present():
            return self._record.stats(self.waiting)

    def start_again(self) -> None:
        """Go on in a forked child, where nobody waits yet."""
        self.lock = threading.Lock()
        self._lines.clear()
        self._asleep.clear()
        self._handed_on.clear()
        self.leaving.clear()
        self._record.start_again()

    def _steps(self, waiter: Waiter, wait: bool, timeout: float | None) -> Steps:
        """Tell how a request fares; each step is given the answer to what was asked, or None after a sleep."""
        key, tokens = waiter.key, waiter.tokens
        if not wait:
            status = yield from self._asked(waiter, 0.0, ahead=key in self._lines)
            return self._allowed(status) if status.allowed else self._refused(REJECTED, tokens, status)
        since, start = time.time_ns(), self._monotonic()
        self._join(waiter)
        try:
            status, had_place = yield from self._stand_in_line(waiter, math.inf if timeout is None else start + timeout)
        except BaseException:
            self._give_up(waiter)
            raise
        waited = self._leave(waiter) or status.delay > 0
        if not had_place:
            return self._refused(REJECTED, tokens, status, line_full=True)
        if not status.allowed:
            return self._refused(TIMED_OUT, tokens, status)
        if status.delay:
            yield status.delay
        return self._allowed(status, self._monotonic() - start if waited else None, since)

    def _stand_in_line(
        self, waiter: Waiter, end: float
    ) -> Generator[Step, RateLimitStatus | None, tuple[RateLimitStatus, bool]]:
        """Wait for a decision until `end`; return it, and whether there was a place in the line."""
        while True:
            waiter.rearm()
            left = end - self._monotonic()
            is_first = self._is_first(waiter)
            if is_first or left <= 0:
                status = yield from self._asked(waiter, left, ahead=not is_first)
                if status.allowed or status.retry_after > left:
                    return status, True
                if self._is_queue or not self._may_sleep(waiter):
                    return status, False
                yield status.retry_after
            elif self._may_sleep(waiter):
                yield left
            else:
                status = yield from self._asked(waiter, left, ahead=True)
                return status, False

    def _asked(self, waiter: Waiter, patience: float, *, ahead: bool) -> Steps:
        """Ask for the permits, or only how things are if somebody is ahead; `patience` is for a queue's delay."""
        status: RateLimitStatus | None
        if ahead:
            status = yield Ask.PEEK
            assert status is not None  # noqa: S101 - for the type checker
            return self._behind_others(status)
        status = self._handed_on_to(waiter)
        if status is not None:
            return status
        if self._is_queue:
            status = yield Ask.PEEK
            assert status is not None  # noqa: S101 - for the type checker
            if status.allowed and status.delay > patience:
                return status._replace(allowed=False, retry_after=status.delay, delay=0.0)
        status = yield Ask.TAKE
        assert status is not None  # noqa: S101 - for the type checker
        if not waiter.key:
            self._available = status.remaining
        return status

    @property
    def _is_queue(self) -> bool:
        return self._rules[0].strategy == QUEUE

    def _behind_others(self, status: RateLimitStatus) -> RateLimitStatus:
        # Whatever there is, is for those ahead; at the earliest there is more when one permit has been earned.
        return status._replace(
            allowed=False, retry_after=max(status.retry_after, float(1 / self._rules[0].rate)), delay=0.0
        )

    async def _decided(self, decider: AsyncDecider, waiter: Waiter) -> RateLimitStatus:
        asking = asyncio.ensure_future(decider.decide(waiter.key, waiter.tokens))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            # The server may give the permits all the same: then whoever comes next in the line shall have them.
            asking.add_done_callback(functools.partial(self._hand_on, waiter))
            raise

    def _hand_on(self, waiter: Waiter, asking: asyncio.Future[RateLimitStatus]) -> None:
        if asking.cancelled() or asking.exception() is not None or not asking.result().allowed:
            return
        with self._present():
            line = self._lines.get(waiter.key)
            if line:
                self._handed_on[waiter.key] = (waiter.tokens, asking.result())
                line[0].wake()

    def _handed_on_to(self, waiter: Waiter) -> RateLimitStatus | None:
        with self._present():
            tokens, status = self._handed_on.get(waiter.key, (0, None))
            if tokens < waiter.tokens:
                return None
            del self._handed_on[waiter.key]
            return status

    def _join(self, waiter: Waiter) -> None:
        with self._present():
            self._lines.setdefault(waiter.key, deque()).append(waiter)

    def _is_first(self, waiter: Waiter) -> bool:
        with self._present():
            line = self._lines.get(waiter.key)
            # Without a line this is a task of a loop that was forked: it is alone there.
            return line is None or line[0] is waiter

    def _may_sleep(self, waiter: Waiter) -> bool:
        with self._present():
            if waiter not in self._asleep and len(self._asleep) >= self._places:
                return False
            self._asleep.add(waiter)
            return True

    def _wake_first(self, key: str) -> None:
        with self._present():
            if key in self._lines:
                self._lines[key][0].wake()

    def _leave(self, waiter: Waiter) -> bool:
        """Go out of the line; tell whether it was slept in."""
        with self._present():
            slept = waiter in self._asleep
            self._remove(waiter)
            return slept

    def _settle(self) -> int:
        while self.leaving:
            self._record.cancelled += 1
            self._remove(self.leaving.popleft())
        return 0

    def _remove(self, waiter: Waiter) -> None:
        self._asleep.discard(waiter)
        line = self._lines.get(waiter.key, deque())
        was_first = bool(line) and line[0] is waiter
        if waiter in line:
            line.remove(waiter)
        while was_first and line and not line[0].wake():
            # Its loop is closed: it will never ask.
            self._asleep.discard(line.popleft())
        if not line:
            self._lines.pop(waiter.key, None)
            self._handed_on.pop(waiter.key, None)

    def _allowed(self, status: RateLimitStatus, waited: float | None = None, since: int = 0) -> RateLimitStatus:
        with self._present():
            self._record.count_acquired(waited, fallback=status.fallback)
        if waited is not None:
            self._record.signals.waited(waited, since=since)
        return status

    def _refused(
        self, result: Refusal, tokens: int, status: RateLimitStatus, *, line_full: bool = False
    ) -> RateLimitStatus:
        with self._present():
            self._record.count_refused(result, line_full=line_full)
        self._record.tell_refused(result, tokens, status, line_full=line_full)
        return status
