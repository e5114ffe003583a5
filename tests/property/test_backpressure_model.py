"""The bounded queue against a model that is as plain as its documentation: nothing is lost, and nothing comes twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any, get_args

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from spanguard.rate_limiter import BackpressureError, BackpressureManager, QueueClosedError, QueueEmptyError
from spanguard.rate_limiter.backpressure import Policy
from spanguard.testing import FakeClock

ENOUGH_STEPS = 12
"""Turns of the event loop after which nothing moves any more by itself."""
PATIENCE = 5.0

Item = tuple[int, int]
"""A number of its own, and a priority."""


@dataclass(eq=False)
class Waiting:
    """A task that wants to put an item, or to get one."""

    task: asyncio.Task[Any]
    item: Item | None
    ends: float


class QueueAgainstModel(RuleBasedStateMachine):
    """Producers and consumers come, wait, lose patience and are cancelled at any moment."""

    @initialize(limit=st.integers(1, 4), policy=st.sampled_from(get_args(Policy)))
    def build(self, limit: int, policy: Policy) -> None:
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.shed: list[Item] = []
        self.queue: BackpressureManager[Item] = BackpressureManager(
            limit,
            policy,
            high_watermark=1.0,
            low_watermark=0.25,
            on_shed=lambda item, _: self.shed.append(item),
            name="model",
            clock=self.clock,
        )
        self.limit, self.policy = limit, policy
        self.offered = 0
        self.items: list[Item] = []
        self.producers: list[Waiting] = []
        self.consumers: list[Waiting] = []
        self.got: list[Item] = []
        self.dropped: list[Item] = []
        self.fates: Counter[str] = Counter()
        self.pressure = False

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        waiting = [*self.producers, *self.consumers]
        assert self.queue.drain(0) == self.items
        self.step()
        assert all(isinstance(one.task.exception(), QueueClosedError) for one in waiting)
        self.loop.close()
        stats = self.queue.stats()
        assert stats.accepted == stats.taken + sum(stats.shed.values()) - stats.shed_on_arrival + stats.drained
        assert stats.taken == len(self.got)
        assert self.offered == sum(
            (stats.accepted, stats.rejected, stats.timed_out, stats.cancelled, stats.closed, stats.shed_on_arrival)
        )

    def step(self, turns: int = ENOUGH_STEPS) -> None:
        async def turn() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turn())

    # --- the model ---

    def note(self) -> None:
        if len(self.items) >= self.limit:
            self.pressure = True
        elif len(self.items) <= self.limit // 4:
            self.pressure = False

    def enter(self, item: Item) -> None:
        """An item is accepted; the first consumer that waits, if any, takes it."""
        self.fates["accepted"] += 1
        self.items.append(item)
        self.note()
        if self.consumers:
            assert self.consumers.pop(0).task.result() == self.leave()

    def leave(self) -> Item:
        """The first item is taken; the first producer that waits, if any, has its place."""
        item = self.items.pop(0)
        self.got.append(item)
        self.note()
        return item

    def fill(self) -> None:
        while self.producers and len(self.items) < self.limit:
            producer = self.producers.pop(0)
            assert producer.task.result() is True
            assert producer.item is not None
            self.enter(producer.item)

    def overflow(self, item: Item) -> bool | None:
        """What the policy makes of one item more; None for a refusal."""
        victim: Item | None = None
        if self.policy == "drop_oldest":
            victim = self.items[0]
        elif self.policy == "drop_newest":
            victim = item
        elif self.policy == "priority":
            lowest = min(priority for _, priority in self.items)
            victim = item if lowest >= item[1] else [kept for kept in self.items if kept[1] == lowest][-1]
        if victim is None:
            self.fates["rejected"] += 1
            return None
        self.dropped.append(victim)
        if victim == item:
            self.fates["shed"] += 1
            return False
        self.items.remove(victim)
        self.fates["accepted"] += 1
        self.items.append(item)
        return True

    # --- what happens ---

    def new_item(self, priority: int) -> Item:
        self.offered += 1
        return self.offered, priority

    @rule(priority=st.integers(0, 2))
    def put(self, priority: int) -> None:
        item = self.new_item(priority)
        has_room = len(self.items) < self.limit and not self.producers
        try:
            answer: bool | None = self.queue.put(item, priority=priority, timeout=0)
        except BackpressureError:
            answer = None
        self.step()
        if has_room:
            assert answer is True
            self.enter(item)
        else:
            assert answer is self.overflow(item)

    @rule()
    def get(self) -> None:
        try:
            item: Item | None = self.queue.get(timeout=0)
        except QueueEmptyError:
            item = None
        self.step()
        assert item == (self.leave() if self.items else None)
        self.fill()

    @precondition(lambda self: self.policy == "block")
    @rule(patience=st.sampled_from([None, PATIENCE]))
    def put_in_a_task(self, patience: float | None) -> None:
        item = self.new_item(0)
        task = self.loop.create_task(self.queue.put_async(item, timeout=patience))
        self.step()
        if len(self.items) < self.limit:
            assert task.result() is True
            self.enter(item)
        else:
            self.producers.append(Waiting(task, item, self.clock.monotonic() + (patience or float("inf"))))

    @rule(patience=st.sampled_from([None, PATIENCE]))
    def get_in_a_task(self, patience: float | None) -> None:
        task = self.loop.create_task(self.queue.get_async(timeout=patience))
        self.step()
        if self.items:
            assert task.result() == self.leave()
            self.fill()
        else:
            self.consumers.append(Waiting(task, None, self.clock.monotonic() + (patience or float("inf"))))

    @precondition(lambda self: self.producers)
    @rule(data=st.data(), turns=st.integers(0, 6), takes=st.booleans())
    def take_one_and_cancel_a_producer_some_turns_later(self, data: st.DataObject, turns: int, takes: bool) -> None:
        if takes:
            assert self.queue.get(timeout=0) == self.leave()
        self.step(turns) if turns else None
        gone = self.producers[data.draw(st.integers(0, min(1, len(self.producers) - 1)))]
        gone.task.cancel()
        self.step()
        if gone.task.cancelled():
            self.producers.remove(gone)
            self.fates["cancelled"] += 1
        self.fill()

    @precondition(lambda self: self.consumers)
    @rule(data=st.data(), turns=st.integers(0, 6), puts=st.booleans())
    def put_one_and_cancel_a_consumer_some_turns_later(self, data: st.DataObject, turns: int, puts: bool) -> None:
        item = self.new_item(0) if puts else None
        if item:
            assert self.queue.put(item, timeout=0)
        self.step(turns) if turns else None
        gone = self.consumers[data.draw(st.integers(0, min(1, len(self.consumers) - 1)))]
        gone.task.cancel()
        self.step()
        if gone.task.cancelled():
            self.consumers.remove(gone)
        if item:
            self.enter(item)

    @rule(seconds=st.integers(1, 6))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.step()
        now = self.clock.monotonic()
        late = [one for one in (*self.producers, *self.consumers) if one.ends <= now]
        self.fates["timed_out"] += sum(one in self.producers for one in late)
        assert all(isinstance(one.task.exception(), BackpressureError | QueueEmptyError) for one in late)
        self.producers = [one for one in self.producers if one not in late]
        self.consumers = [one for one in self.consumers if one not in late]

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "queue"):
            return
        stats = self.queue.stats()
        assert stats.depth == len(self.items)
        assert (stats.producers, stats.consumers) == (len(self.producers), len(self.consumers))
        assert self.shed == self.dropped
        assert stats.under_pressure is self.pressure
        fates = (stats.accepted, stats.rejected, stats.timed_out, stats.cancelled, stats.shed_on_arrival)
        assert fates == tuple(self.fates[name] for name in ("accepted", "rejected", "timed_out", "cancelled", "shed"))
        assert not any(one.task.done() for one in (*self.producers, *self.consumers))


TestQueueAgainstModel = QueueAgainstModel.TestCase
TestQueueAgainstModel.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
