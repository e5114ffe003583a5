"""The bulkhead against a model that is as plain as its documentation: who runs, who waits, in which order."""

from __future__ import annotations

import asyncio
import contextlib
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from spanguard.error_handling import Bulkhead, BulkheadFullError
from spanguard.testing import FakeClock

ENOUGH_STEPS = 12
"""Turns of the event loop after which nothing moves any more by itself."""


@dataclass(eq=False)
class Caller:
    """A task that asks for a permit and keeps it until its gate opens."""

    gate: asyncio.Future[None]
    task: asyncio.Task[str]
    arrived: float


class BulkheadAgainstModel(RuleBasedStateMachine):
    """Tasks arrive, end, are cancelled at any moment and lose patience; plain blocks come and go; the size changes."""

    @initialize(limit=st.integers(1, 3), places=st.integers(1, 4), max_wait=st.sampled_from([None, 5.0]))
    def build(self, limit: int, places: int, max_wait: float | None) -> None:
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.bulkhead = Bulkhead(limit, places, max_wait, name="model", clock=self.clock)
        self.limit, self.places, self.max_wait = limit, places, max_wait
        self.running: list[Any] = []
        self.queue: list[Caller] = []
        self.refused = self.timed_out = 0

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        callers = [caller for caller in (*self.running, *self.queue) if isinstance(caller, Caller)]
        for caller in self.running:
            if not isinstance(caller, Caller):
                caller.__exit__(None, None, None)
        for caller in callers:
            caller.task.cancel()
        self.step()
        self.loop.close()
        stats = self.bulkhead.stats()
        assert (stats.running, stats.queued) == (0, 0)

    def step(self, turns: int = ENOUGH_STEPS) -> None:
        async def turn() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turn())

    def fill(self) -> None:
        while self.queue and len(self.running) < self.limit:
            self.running.append(self.queue.pop(0))

    @rule()
    def arrive(self) -> None:
        gate = self.loop.create_future()

        async def call() -> str:
            try:
                async with self.bulkhead.calling():
                    await gate
            except BulkheadFullError as error:
                return error.outcome
            return "done"

        caller = Caller(gate, self.loop.create_task(call()), self.clock.monotonic())
        self.step()
        if len(self.running) < self.limit:
            self.running.append(caller)
        elif len(self.queue) < self.places:
            self.queue.append(caller)
        else:
            self.refused += 1
            assert caller.task.result() == "rejected"

    @precondition(lambda self: len(self.running) < self.limit)
    @rule()
    def enter_a_plain_block(self) -> None:
        block = self.bulkhead.calling()
        # In a context of its own, as another thread would: blocks end in any order.
        copy_context().run(block.__enter__)
        self.running.append(block)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), fails=st.booleans())
    def end(self, data: st.DataObject, fails: bool) -> None:
        self.let_go(self.running.pop(data.draw(st.integers(0, len(self.running) - 1))), fails=fails)
        self.step()
        self.fill()

    def let_go(self, caller: Any, *, fails: bool = False) -> None:
        if not isinstance(caller, Caller):
            caller.__exit__(None, None, None)
        elif fails:
            caller.gate.set_exception(LookupError())
            caller.task.add_done_callback(lambda task: task.exception())
        else:
            caller.gate.set_result(None)

    @precondition(lambda self: self.queue)
    @rule(data=st.data(), turns=st.integers(0, 6))
    def end_one_and_cancel_a_waiter_some_turns_later(self, data: st.DataObject, turns: int) -> None:
        if self.running:
            self.let_go(self.running.pop(data.draw(st.integers(0, len(self.running) - 1))))
        self.step(turns) if turns else None
        gone = self.queue.pop(data.draw(st.integers(0, min(1, len(self.queue) - 1))))
        gone.task.cancel()
        self.step()
        with contextlib.suppress(asyncio.CancelledError):
            gone.task.result()
        self.fill()

    @rule(seconds=st.integers(1, 6))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.step()
        if self.max_wait is not None:
            patience = self.clock.monotonic() - self.max_wait
            late = [caller for caller in self.queue if caller.arrived <= patience]
            self.queue = [caller for caller in self.queue if caller not in late]
            self.timed_out += len(late)
            assert [caller.task.result() for caller in late] == ["timed_out"] * len(late)

    @rule(limit=st.integers(1, 4), places=st.integers(1, 4))
    def resize(self, limit: int, places: int) -> None:
        self.bulkhead.resize(limit=limit, queue=places)
        self.limit, self.places = limit, places
        self.step()
        self.fill()

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "bulkhead"):
            return
        stats = self.bulkhead.stats()
        assert (stats.running, stats.queued) == (len(self.running), len(self.queue))
        assert (stats.rejected, stats.timed_out) == (self.refused, self.timed_out)
        assert not any(caller.task.done() for caller in (*self.running, *self.queue) if isinstance(caller, Caller))


TestBulkheadAgainstModel = BulkheadAgainstModel.TestCase
TestBulkheadAgainstModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
