"""The adaptive limiter under calls that come, go, fail and are cancelled while its limit moves: never more than it, none lost."""

from __future__ import annotations

import asyncio
import contextlib
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from spanguard.rate_limiter import AdaptiveLimiter, AdaptiveLimitExceededError, Aimd, Gradient2, Vegas
from spanguard.testing import FakeClock

ENOUGH_STEPS = 12
"""Turns of the event loop after which nothing moves any more by itself."""


@dataclass(eq=False)
class Caller:
    """A task that asks for a permit and keeps it until its gate opens."""

    gate: asyncio.Future[None]
    task: asyncio.Task[str]


class AdaptiveAgainstModel(RuleBasedStateMachine):
    """Who runs and who waits follows from the limit, wherever the algorithm puts it."""

    @initialize(
        algorithm=st.sampled_from([Aimd(increase=2), Aimd(backoff=0.5), Vegas(probe_every=10), Gradient2()]),
        initial=st.integers(1, 4),
        queue=st.integers(0, 3),
    )
    def build(self, algorithm: Any, initial: int, queue: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.limiter = AdaptiveLimiter(
            algorithm,
            initial=initial,
            maximum=6,
            queue=queue,
            window=1.0,
            window_calls=2,
            name="model",
            clock=self.clock,
        )
        self.places = queue
        self.admitted_with = initial
        self.running: list[Any] = []
        self.waiting: list[Caller] = []
        self.arrived = self.refused = self.cancelled = 0

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        for caller in [*self.running, *self.waiting]:
            if isinstance(caller, Caller):
                caller.task.cancel()
            else:
                caller.__exit__(None, None, None)
        self.step()
        self.loop.close()
        stats = self.limiter.stats()
        assert (stats.running, stats.queued) == (0, 0)
        assert self.arrived == stats.admitted + stats.rejected + stats.cancelled

    def step(self, turns: int = ENOUGH_STEPS) -> None:
        async def turn() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turn())

    def fill(self) -> None:
        while self.waiting and len(self.running) < self.limiter.limit:
            self.running.append(self.waiting.pop(0))

    @rule()
    def arrive(self) -> None:
        gate = self.loop.create_future()

        async def call() -> str:
            try:
                async with self.limiter.calling():
                    await gate
            except AdaptiveLimitExceededError as error:
                return error.outcome
            return "done"

        caller = Caller(gate, self.loop.create_task(call()))
        self.arrived += 1
        self.step()
        if len(self.running) < self.limiter.limit:
            self.running.append(caller)
        elif len(self.waiting) < self.places:
            self.waiting.append(caller)
        else:
            self.refused += 1
            assert caller.task.result() == "rejected"

    @precondition(lambda self: self.places == 0)
    @rule()
    def enter_a_plain_block(self) -> None:
        block = self.limiter.calling()
        self.arrived += 1
        try:
            # In a context of its own, as another thread would: blocks end in any order.
            copy_context().run(block.__enter__)
        except AdaptiveLimitExceededError:
            self.refused += 1
            assert len(self.running) >= self.limiter.limit
        else:
            assert len(self.running) < self.limiter.limit
            self.running.append(block)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), error=st.sampled_from([None, TimeoutError(), LookupError()]))
    def end(self, data: st.DataObject, error: BaseException | None) -> None:
        caller = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        if not isinstance(caller, Caller):
            caller.__exit__(None if error is None else type(error), error, None)
        elif error is None:
            caller.gate.set_result(None)
        else:
            caller.gate.set_exception(error)
            caller.task.add_done_callback(lambda task: task.exception())
        self.step()
        self.fill()

    @precondition(lambda self: any(isinstance(caller, Caller) for caller in [*self.running, *self.waiting]))
    @rule(data=st.data(), turns=st.integers(0, 6), ends=st.booleans())
    def end_one_and_cancel_another_some_turns_later(self, data: st.DataObject, turns: int, ends: bool) -> None:
        tasks = [caller for caller in self.running if isinstance(caller, Caller)]
        if ends and tasks:
            tasks[0].gate.set_result(None)
            self.running.remove(tasks[0])
        self.step(turns) if turns else None
        left = [caller for caller in [*self.running, *self.waiting] if isinstance(caller, Caller)]
        if left:
            gone = data.draw(st.sampled_from(left))
            gone.task.cancel()
            self.step()
            with contextlib.suppress(asyncio.CancelledError):
                gone.task.result()
            (self.running if gone in self.running else self.waiting).remove(gone)
        self.step()
        self.fill()

    @rule(seconds=st.sampled_from([0.25, 1.0, 3.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "limiter"):
            return
        stats = self.limiter.stats()
        assert 1 <= stats.limit <= 6
        assert (stats.running, stats.queued) == (len(self.running), len(self.waiting))
        assert stats.rejected == self.refused
        # A limit that fell lets those go on who run; it lets nobody else in.
        assert stats.running <= max(stats.limit, self.admitted_with)
        self.admitted_with = max(stats.running, stats.limit)
        assert not any(caller.task.done() for caller in [*self.running, *self.waiting] if isinstance(caller, Caller))


TestAdaptiveAgainstModel = AdaptiveAgainstModel.TestCase
TestAdaptiveAgainstModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
