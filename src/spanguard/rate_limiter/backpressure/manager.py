"""`BackpressureManager`: a queue that is bounded, says when it fills up, and knows what to do when it is full."""

from __future__ import annotations

import asyncio
import math
import os
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Generic, Literal, TypeVar

from spanguard import semconv
from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.errors import BlockingWaitError, ConfigurationError
from spanguard.forms import check_name
from spanguard.permits import TaskWaiter, ThreadWaiter
from spanguard.rate_limiter.backpressure.codel import CoDel
from spanguard.rate_limiter.backpressure.core import ABANDONED, Core
from spanguard.rate_limiter.backpressure.errors import BackpressureError, QueueClosedError, QueueEmptyError
from spanguard.rate_limiter.backpressure.items import Entry
from spanguard.rate_limiter.backpressure.settings import Policy, check
from spanguard.rate_limiter.backpressure.signals import tell_change
from spanguard.rate_limiter.backpressure.stats import BackpressureStats, PressureChange
from spanguard.rate_limiter.backpressure.waiting import Wait
from spanguard.semconv import PutOutcome, ShedReason
from spanguard.telemetry import COUNTS
from spanguard.telemetry.deadline import remaining
from spanguard.telemetry.internal import safely
from spanguard.telemetry.spans import add_child, annotate

T = TypeVar("T")


class BackpressureManager(Generic[T]):
    """A bounded queue between producers and consumers, threads and tasks of any event loop alike.

    Items leave in the order in which they came. When the depth reaches the high watermark there is pressure until it has
    fallen to the low one: an event, a metric, and `on_change` for a producer that can slow down. When the queue is full, the
    policy says what becomes of one item more:

    - `block`: its producer waits for a place, first come, first served;
    - `reject`: its producer gets `BackpressureError`;
    - `drop_oldest`: it takes the place of the first in the queue, which is dropped;
    - `drop_newest`: it is dropped;
    - `priority`: it takes the place of one of lower priority (the lowest there is; of several the newest), which is
      dropped; if there is none, it is dropped itself.

    Whoever is cancelled or runs out of time, at whatever point, leaves nothing lost and nothing twice. In a forked child the queue
    is empty: its items are the parent's.

        orders = BackpressureManager(1000, policy="reject", name="orders")
        orders.put(order)                       # await orders.put_async(order)
        for order in orders: ...                # async for; until the queue is closed
        left = orders.drain(5.0)                # at shutdown

    Args:
        limit: items that it can hold, at least 1.
        policy: what a full queue does with one item more.
        high_watermark: the share of the limit at which pressure begins.
        low_watermark: the share at which it ends.
        codel: drop items that were too long in the queue when their turn comes; None: never.
        on_shed: called with each item that is dropped, and why, in the thread or task that brought it about.
        on_change: called when pressure begins and ends, in that order, likewise. Both must be quick; what they raise is counted, logged
            once, and kept from the call.
        name: the policy name in every signal; keep it low in cardinality.
        clock: what measures time.

    Raises:
        ConfigurationError: one or more settings are out of range or contradict each other; all are named.
    """

    def __init__(
        self,
        limit: int,
        policy: Policy = "block",
        *,
        high_watermark: float = 0.8,
        low_watermark: float = 0.5,
        codel: CoDel | None = None,
        on_shed: Callable[[T, ShedReason], object] | None = None,
        on_change: Callable[[PressureChange], object] | None = None,
        name: str,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._name = check_name("queue", name)
        high, low = check(name, limit, policy, high_watermark, low_watermark)
        self._limit = limit
        self._policy = policy
        self._clock = clock
        self._on_shed = on_shed
        self._on_change = on_change
        self._new_core: Callable[[], Core[T]] = lambda: Core(name, limit, policy, high, low, codel, clock)
        self._core = self._new_core()
        self._telling = threading.Lock()
        policy_name = {semconv.POLICY_NAME.key: name}
        COUNTS.observe(semconv.BACKPRESSURE_DEPTH_METRIC, self, lambda queue: [(policy_name, len(queue))])
        COUNTS.observe(semconv.BACKPRESSURE_LIMIT_METRIC, self, lambda queue: [(policy_name, queue.limit)])
        COUNTS.observe(
            semconv.BACKPRESSURE_STATUS_METRIC, self, lambda queue: [(policy_name, int(queue.under_pressure))]
        )
        COUNTS.observe(
            semconv.BACKPRESSURE_OLDEST_METRIC, self, lambda queue: [(policy_name, queue.stats().oldest_age)]
        )
        _queues.add(self)

    def __repr__(self) -> str:
        return f"BackpressureManager({self._limit}, {self._policy!r}, name={self._name!r})"

    def __len__(self) -> int:
        return self._core.depth

    def __bool__(self) -> bool:
        # An empty queue is a queue.
        return True

    @property
    def name(self) -> str:
        """The policy name in every signal."""
        return self._name

    @property
    def limit(self) -> int:
        """Items that it can hold."""
        return self._limit

    @property
    def policy(self) -> Policy:
        """What it does with one item more when it is full."""
        return self._policy

    @property
    def under_pressure(self) -> bool:
        """Whether a producer that can slow down should."""
        return self._core.under_pressure

    @property
    def is_closed(self) -> bool:
        """Whether it takes nothing more."""
        return self._core.is_closed

    def put(self, item: T, *, priority: int = 0, timeout: float | None = None) -> bool:
        """Offer an item.

        Args:
            item: whatever a consumer is to get.
            priority: greater is dearer. It matters to the policy `priority` alone, and never to the order of delivery.
            timeout: seconds to wait for a place at most, where the policy is `block`: 0 for not at all, None for as long
                as it takes. A `deadline` around the call holds too.

        Returns:
            True if the queue has it, False if it was dropped.

        Raises:
            BackpressureError: there was no place for it in time; also a `queue.Full` and a `TimeoutError`.
            QueueClosedError: the queue was closed.
            BlockingWaitError: it might have to wait, and this thread runs an event loop; use `put_async`, or `timeout=0`.
            ConfigurationError: the priority is no whole number, or the timeout makes no sense.
        """
        entry, wait = self._offer(item, priority, timeout)
        self._refuse_to_block(wait, "put")
        while True:
            core = self._core
            answer = core.put(entry, ThreadWaiter if wait.may_wait else None)
            if isinstance(answer, ThreadWaiter):
                try:
                    wait.in_thread(answer)
                except BaseException:
                    core.leave(core.producers, answer)
                    raise
                answer = core.claim(answer, entry)
            if answer != ABANDONED:
                return self._conclude_put(core, answer, wait)

    async def put_async(
        self,
        item: T,
        *,
        priority: int = 0,
        timeout: float | None = None,  # noqa: ASYNC109 - a place that is there is taken even when the time is over
    ) -> bool:
        """Offer an item, as `put` does; a wait suspends only this task. A cancelled one has put nothing."""
        entry, wait = self._offer(item, priority, timeout)
        while True:
            core = self._core
            answer = core.put(entry, TaskWaiter if wait.may_wait else None)
            if isinstance(answer, TaskWaiter):
                try:
                    await wait.in_task(answer)
                except BaseException:
                    core.leave(core.producers, answer)
                    raise
                answer = core.claim(answer, entry)
            if answer != ABANDONED:
                return self._conclude_put(core, answer, wait)

    def get(self, *, timeout: float | None = None) -> T:
        """Take the first item.

        Args:
            timeout: seconds to wait for one at most: 0 for not at all, None for as long as it takes. A `deadline` around
                the call holds too.

        Raises:
            QueueEmptyError: there was none in time; also a `queue.Empty` and a `TimeoutError`.
            QueueClosedError: the queue was closed, and nothing is left in it.
            BlockingWaitError: it might have to wait, and this thread runs an event loop; use `get_async`, or `timeout=0`.
            ConfigurationError: the timeout makes no sense.
        """
        wait = Wait(self._clock, self._seconds(timeout))
        self._refuse_to_block(wait, "get")
        former: ThreadWaiter | None = None
        while True:
            core = self._core
            answer = core.take(ThreadWaiter if wait.may_wait else None, former)
            if isinstance(answer, ThreadWaiter):
                former = answer
                try:
                    wait.in_thread(former)
                except BaseException:
                    core.leave(core.consumers, former)
                    raise
            elif answer != ABANDONED:
                return self._conclude_get(core, answer)
            else:
                former = None

    async def get_async(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - an item that is there is taken even when the time is over
    ) -> T:
        """Take the first item, as `get` does; a wait suspends only this task. A cancelled one has taken nothing."""
        wait = Wait(self._clock, self._seconds(timeout))
        former: TaskWaiter | None = None
        while True:
            core = self._core
            answer = core.take(TaskWaiter if wait.may_wait else None, former)
            if isinstance(answer, TaskWaiter):
                former = answer
                try:
                    await wait.in_task(former)
                except BaseException:
                    core.leave(core.consumers, former)
                    raise
            elif answer != ABANDONED:
                return self._conclude_get(core, answer)
            else:
                former = None

    def __iter__(self) -> Iterator[T]:
        """Yield items as they come, until the queue is closed and empty."""
        while True:
            try:
                item = self.get()
            except QueueClosedError:
                return
            yield item

    async def __aiter__(self) -> AsyncIterator[T]:
        """Yield items as they come, until the queue is closed and empty."""
        while True:
            try:
                item = await self.get_async()
            except QueueClosedError:
                return
            yield item

    def close(self) -> None:
        """Take nothing more. Consumers get what is left, producers that wait get `QueueClosedError`. Once is enough."""
        self._core.close()

    def drain(self, budget: float) -> list[T]:
        """Close the queue, let consumers work on for a while, and return what they did not get to, oldest first.

        It waits until the last item was taken, not until its consumer is done with it. A drain that is interrupted leaves the queue
        closed, and the items in it.

        Args:
            budget: seconds for the consumers; 0 for none.

        Raises:
            BlockingWaitError: this thread runs an event loop; use `drain_async`.
            ConfigurationError: the budget makes no sense.
        """
        wait = Wait(self._clock, self._seconds(budget))
        self._refuse_to_block(wait, "drain")
        core = self._core
        core.close()
        waiter = core.await_end(ThreadWaiter) if wait.may_wait else None
        if waiter is not None:
            try:
                wait.in_thread(waiter)
            except BaseException:
                core.leave(core.drainers, waiter)
                raise
        return self._take_rest(core, waiter)

    async def drain_async(self, budget: float) -> list[T]:
        """Do what `drain` does, and suspend only this task."""
        wait = Wait(self._clock, self._seconds(budget))
        core = self._core
        core.close()
        waiter = core.await_end(TaskWaiter) if wait.may_wait else None
        if waiter is not None:
            try:
                await wait.in_task(waiter)
            except BaseException:
                core.leave(core.drainers, waiter)
                raise
        return self._take_rest(core, waiter)

    def stats(self) -> BackpressureStats:
        """Return what is known now."""
        return self._core.stats()

    def _offer(self, item: T, priority: int, timeout: float | None) -> tuple[Entry[T], Wait]:
        if priority.__class__ is not int:
            raise ConfigurationError(f"queue {self._name!r}: priority is {priority!r}; it must be a whole number.")
        seconds = self._seconds(timeout) if self._policy == "block" else 0.0
        return Entry(item, priority), Wait(self._clock, seconds)

    def _seconds(self, timeout: float | None) -> float | None:
        if timeout is not None and (timeout.__class__ not in (int, float) or not 0 <= timeout < math.inf):
            raise ConfigurationError(
                f"queue {self._name!r}: {timeout!r} is no time to wait; it must be seconds, at least 0 and finite, or None for "
                "as long as it takes."
            )
        left = remaining()
        return left if timeout is None else timeout if left is None else min(timeout, left)

    def _refuse_to_block(self, wait: Wait, method: str) -> None:
        if wait.end and asyncio._get_running_loop() is not None:  # noqa: SLF001 - the public getter raises, at a microsecond each
            raise BlockingWaitError(
                f"queue {self._name!r}: {method}() might have to wait, and would block the event loop of this thread; "
                f"use `await {method}_async(...)`, or a time of 0"
            )

    def _conclude_put(self, core: Core[T], outcome: PutOutcome, wait: Wait) -> bool:
        self._tell(core)
        if wait.since:
            add_child(
                semconv.QUEUE_SPAN, self._name, {semconv.BACKPRESSURE_OUTCOME.key: outcome}, start_time=wait.since
            )
        if outcome == "accepted":
            return True
        annotate({semconv.POLICY_NAME.key: self._name, semconv.BACKPRESSURE_OUTCOME.key: outcome})
        match outcome:
            case "closed":
                raise QueueClosedError(self._name)
            case "rejected" | "timed_out":
                raise BackpressureError(self._name, outcome, self._limit, wait.elapsed())
            case _:
                return False

    def _conclude_get(self, core: Core[T], answer: Entry[T] | Literal["empty", "closed"]) -> T:
        self._tell(core)
        if isinstance(answer, Entry):
            return answer.item
        raise QueueClosedError(self._name) if answer == "closed" else QueueEmptyError(self._name)

    def _take_rest(self, core: Core[T], waiter: ThreadWaiter | TaskWaiter | None) -> list[T]:
        rest = core.take_rest(waiter)
        self._tell(core)
        return rest

    def _tell(self, core: Core[T]) -> None:
        """Tell what happened, outside the queue's lock. Changes are told one after the other, by whoever comes first."""
        while core.dropped:
            try:
                item, reason = core.dropped.popleft()
            except IndexError:
                break
            if self._on_shed is not None:
                with safely("backpressure"):
                    self._on_shed(item, reason)
        while core.news and self._telling.acquire(blocking=False):
            try:
                while core.news:
                    self._tell_change(core.news.popleft())
            finally:
                self._telling.release()

    def _tell_change(self, change: PressureChange) -> None:
        tell_change(self._name, change)
        if self._on_change is not None:
            with safely("backpressure"):
                self._on_change(change)

    def _start_again_in_child(self) -> None:
        # The items, and the threads that may hold the locks, are the parent's.
        former, self._core = self._core, self._new_core()
        self._telling = threading.Lock()
        former.abandon()


_queues: weakref.WeakSet[BackpressureManager[Any]] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for queue in list(_queues):
        queue._start_again_in_child()  # noqa: SLF001 - its own module


os.register_at_fork(after_in_child=_after_fork_in_child)
