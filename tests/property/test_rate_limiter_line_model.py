"""The line before every kind of limiter: any order of requests, waits, cancellations, late loops and changes of numbers.

Whatever happens: who waits is served in turn, nobody gets more than the law of the limit, and no permit is lost.
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from limits.storage import MemoryStorage

from spanguard.rate_limiter import (
    LeakyBucketLimiter,
    RateLimiter,
    RateLimitStatus,
    SlidingWindowLimiter,
    TokenBucketLimiter,
)
from spanguard.testing import FakeClock

START = 1024.0


@dataclass(frozen=True)
class Kind:
    """A kind of limiter.

    Attributes:
        make: makes one.
        limit: the most that one request may ask for.
        most: how much it may give out in so many seconds.
        idle: seconds after which it is as if it had never been used.
        slowest: seconds that one permit takes at most, however unlucky.
        punctual: whether a line that nobody looked at for a time is served as of the moments when its turns came.
    """

    make: Callable[..., RateLimiter]
    limit: int
    most: Callable[[Fraction], Fraction]
    idle: float
    slowest: float
    punctual: bool = True


KINDS = {
    "token bucket": Kind(
        lambda **options: TokenBucketLimiter(2, 3, name="line", **options), 3, lambda passed: 3 + 2 * passed, 1.5, 0.5
    ),
    "leaky bucket as a queue": Kind(
        lambda **options: LeakyBucketLimiter(2, 5, name="line", **options), 3, lambda passed: 3 + 2 * passed, 2.5, 0.5
    ),
    "exact window": Kind(
        lambda **options: SlidingWindowLimiter(3, 2, name="line", **options),
        3,
        lambda passed: Fraction(3 * (math.floor(passed / 2) + 1)),
        2,
        2,
    ),
    "estimated window": Kind(
        lambda **options: SlidingWindowLimiter(3, 2, exact=False, name="line", **options),
        3,
        # Each of the fixed windows that it is made of admits the limit at the very most.
        lambda passed: Fraction(3 * (math.floor(passed / 2) + 2)),
        4,
        4,
    ),
    "several limits": Kind(
        lambda **options: RateLimiter("3/second; 12/minute", name="line", **options),
        3,
        lambda passed: min(3 + 3 * passed, 12 + passed / 5),
        60,
        5,
    ),
    "shared storage": Kind(
        lambda **options: TokenBucketLimiter(2, 3, name="line", storage=MemoryStorage(), **options),
        3,
        lambda passed: 3 + 2 * passed,
        1.5,
        1.5,
        punctual=False,
    ),
}


async def settled() -> None:
    """Let every task that can run do so until none can any more."""
    for _ in range(30):
        await asyncio.sleep(0)


class LineOfOneKey(RuleBasedStateMachine):
    """Tasks that wait for one key, are cancelled at any point, and others that come by.

    The event loop runs only where a rule says so: in between, served tasks have their permits but do not know it yet.
    """

    @initialize(kind=st.sampled_from(sorted(KINDS)), places=st.sampled_from([2, 5, 1000]))
    def begin(self, kind: str, places: int) -> None:
        self.kind = KINDS[kind]
        self.places = places
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock(start=START)
        self.limiter = self.kind.make(max_waiters=places, clock=self.clock)
        self.given_out = 0
        self.line: list[tuple[asyncio.Task[RateLimitStatus], int]] = []

    @rule(tokens=st.integers(1, 3), timeout=st.sampled_from([None, None, 0.25, 3.0]))
    def wait(self, tokens: int, timeout: float | None) -> None:
        task = self.loop.create_task(self.limiter.acquire_async(tokens, wait=True, timeout=timeout))
        self.line.append((task, tokens))
        self.run_loop()

    @rule(tokens=st.integers(1, 3))
    def come_by(self, tokens: int) -> None:
        present = self.limiter.peek(tokens)
        status = self.limiter.acquire(tokens)
        assert (present.allowed, present.retry_after) == (status.allowed, status.retry_after)
        if status.allowed:
            self.given_out += tokens

    @rule(quarters=st.integers(0, 12))
    def pass_time(self, quarters: int) -> None:
        self.clock.advance(quarters / 4)

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        task, _ = data.draw(st.sampled_from(self.line))
        task.cancel()

    @rule()
    def run_loop(self) -> None:
        self.loop.run_until_complete(settled())
        still_waiting = False
        for task, tokens in list(self.line):
            if not task.done():
                still_waiting = True
                continue
            self.line.remove((task, tokens))
            if not task.cancelled() and task.result().allowed:
                assert not still_waiting, "somebody was overtaken"
                self.given_out += tokens
        waiting = self.limiter.stats().waiting
        assert waiting == len(self.line) <= self.places

    @invariant()
    def no_more_is_given_out_than_the_law_allows(self) -> None:
        if hasattr(self, "limiter"):
            passed = Fraction(self.clock.monotonic()) - Fraction(START)
            assert self.given_out <= self.kind.most(passed)

    def teardown(self) -> None:
        if not hasattr(self, "limiter"):
            return
        try:
            self.everyone_left_is_served_in_time()
            self.no_permit_is_lost()
        finally:
            for task, _ in self.line:
                task.cancel()
            self.loop.run_until_complete(settled())
            self.loop.close()

    def everyone_left_is_served_in_time(self) -> None:
        self.run_loop()
        needed = sum(tokens for _, tokens in self.line)
        looks = 1 if self.kind.punctual else needed + 1
        for _ in range(looks):
            self.clock.advance(math.ceil(self.kind.idle + needed * self.kind.slowest) / looks)
            self.run_loop()
        assert not self.line
        desk = vars(self.limiter._desk)
        assert not desk.get("lines", desk.get("_lines"))

    def no_permit_is_lost(self) -> None:
        self.clock.advance(self.kind.idle)
        assert self.limiter.acquire(self.kind.limit)


TestLineOfOneKey: Any = LineOfOneKey.TestCase
TestLineOfOneKey.settings = settings(max_examples=120, stateful_step_count=25, deadline=None)


class ChangingLine(RuleBasedStateMachine):
    """Waits before a token bucket whose numbers are changed meanwhile."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock(start=START)
        self.limiter = TokenBucketLimiter(2, 3, name="line", clock=self.clock)
        self.earned = Fraction(3)
        self.given_out = 0
        self.line: list[tuple[asyncio.Task[RateLimitStatus], int]] = []

    @rule(tokens=st.integers(1, 3))
    def wait(self, tokens: int) -> None:
        tokens = min(tokens, self.limiter.burst)
        self.line.append((self.loop.create_task(self.limiter.acquire_async(tokens, wait=True)), tokens))
        self.run_loop()

    @rule(rate=st.sampled_from([0.5, 2, 7.7]), burst=st.integers(1, 6))
    def change(self, rate: float, burst: int) -> None:
        self.earned += max(burst - self.limiter.burst, 0)
        self.limiter.reconfigure(rate=rate, burst=burst)
        self.run_loop()

    @rule(quarters=st.integers(0, 8))
    def pass_time(self, quarters: int) -> None:
        self.clock.advance(quarters / 4)
        self.earned += Fraction(quarters, 4) * Fraction(repr(self.limiter.rate))
        self.run_loop()

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.line))[0].cancel()

    def run_loop(self) -> None:
        self.loop.run_until_complete(settled())
        for task, tokens in list(self.line):
            if task.done():
                self.line.remove((task, tokens))
                if not task.cancelled() and task.result().allowed:
                    self.given_out += tokens

    @invariant()
    def no_more_is_given_out_than_was_earned(self) -> None:
        if hasattr(self, "limiter"):
            assert self.given_out <= self.earned

    def teardown(self) -> None:
        if not hasattr(self, "limiter"):
            return
        try:
            self.run_loop()
            needed = sum(tokens for _, tokens in self.line) + 6
            self.clock.advance(math.ceil(needed / self.limiter.rate))
            self.run_loop()
            assert not self.line
            self.clock.advance(math.ceil(self.limiter.burst / self.limiter.rate))
            assert self.limiter.acquire(self.limiter.burst)
        finally:
            for task, _ in self.line:
                task.cancel()
            self.run_loop()
            self.loop.close()


TestChangingLine: Any = ChangingLine.TestCase
TestChangingLine.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)


# --- threads and tasks in one line -----------------------------------------------------------------------------------


@pytest.fixture
def fast_switching() -> Iterator[None]:
    """Let the interpreter change threads every microsecond."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("fast_switching")
def test_threads_and_tasks_under_a_real_clock_get_all_that_is_earned_and_no_more() -> None:
    limiter = TokenBucketLimiter(1000, 1, name="stress")
    start = time.monotonic()
    cancelled = 0

    def wait_in_thread() -> int:
        return sum(limiter.acquire(wait=True).allowed for _ in range(10))

    async def wait_and_give_up(number: int) -> int:
        nonlocal cancelled
        admitted = 0
        for turn in range(10):
            asking = asyncio.ensure_future(limiter.acquire_async(wait=True))
            if (number + turn) % 3 == 0:
                await asyncio.wait({asking}, timeout=0.002)
                asking.cancel()
            try:
                admitted += (await asking).allowed
            except asyncio.CancelledError:
                cancelled += 1
        return admitted

    async def wait_in_tasks() -> int:
        return sum(await asyncio.gather(*(wait_and_give_up(number) for number in range(20))))

    with ThreadPoolExecutor(17) as pool:
        threads = [pool.submit(wait_in_thread) for _ in range(16)]
        tasks = pool.submit(lambda: asyncio.run(wait_in_tasks()))
        in_threads, in_tasks = sum(thread.result(60) for thread in threads), tasks.result(60)
    passed = time.monotonic() - start
    assert in_threads == 160
    assert in_tasks == 200 - cancelled
    stats = limiter.stats()
    # A wait that was cancelled as it was resuming has used its permit: it counts as acquired.
    assert stats.acquired >= in_threads + in_tasks
    assert stats.acquired + stats.cancelled == 360
    assert stats.waiting == 0
    assert stats.acquired <= 1 + 1000 * passed
    # Had permits been lost, those who waited would have waited longer than the permits took to earn.
    assert stats.time_in_queue.longest < 1
