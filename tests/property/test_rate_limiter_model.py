"""The token bucket against a model in exact arithmetic, under any order of requests, waits and cancellations."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from limits import RateLimitItemPerMinute, parse
from limits.storage import MemoryStorage

from spanguard.rate_limiter import RateLimitStatus, TokenBucketLimiter, TokenBucketRateLimiter
from spanguard.testing import FakeClock

TICK = Fraction(1, 2**30)

# Steps that a float of seconds holds exactly, so that the model and the clock agree to the last bit.
steps = st.integers(0, 2**34).map(lambda ticks: ticks / 2**30)
rates = st.sampled_from([0.1, 0.3, 0.5, 1.0, 2.0, 3.0, 7.7, 1000.0, 1e6]) | st.floats(0.001, 1e6)


class ModelBucket:
    """A counter that is topped up: nothing of the implementation but the law."""

    def __init__(self, rate: Fraction, burst: int) -> None:
        self.rate = rate
        self.burst = burst
        self.tokens = Fraction(burst)

    def pass_time(self, seconds: Fraction) -> None:
        self.tokens = min(Fraction(self.burst), self.tokens + seconds * self.rate)

    def take(self, tokens: int) -> bool:
        if tokens > self.tokens:
            return False
        self.tokens -= tokens
        return True


def floor_to_tick(seconds: float) -> Fraction:
    return Fraction(int(Fraction(seconds) / TICK)) * TICK


@given(
    rate=rates,
    burst=st.integers(1, 20),
    requests=st.lists(st.tuples(steps, st.integers(1, 20)), max_size=60),
)
@settings(max_examples=200, deadline=None)
def test_every_decision_is_that_of_the_exact_model(rate: float, burst: int, requests: list[tuple[float, int]]) -> None:
    clock = FakeClock(start=1024.0)
    limiter = TokenBucketLimiter(rate, burst, name="model", clock=clock)
    model = ModelBucket(Fraction(repr(rate)), burst)
    now = floor_to_tick(clock.monotonic())
    for seconds, wanted in requests:
        tokens = min(wanted, burst)
        clock.advance(seconds)
        model.pass_time(floor_to_tick(clock.monotonic()) - now)
        now = floor_to_tick(clock.monotonic())
        status = limiter.acquire(tokens)
        before = model.tokens
        assert status.allowed == model.take(tokens)
        assert status.remaining == int(model.tokens)
        assert status.reset_after == pytest.approx(float((burst - model.tokens) / model.rate))
        assert status.retry_after == pytest.approx(float(max(Fraction(0), tokens - before) / model.rate))


@given(rate=rates, burst=st.integers(1, 20), start=st.floats(0, 10_000_000), tokens=st.integers(1, 20))
@settings(max_examples=200, deadline=None)
def test_who_comes_back_after_retry_after_is_admitted(rate: float, burst: int, start: float, tokens: int) -> None:
    clock = FakeClock(start=start)
    limiter = TokenBucketLimiter(rate, burst, name="model", clock=clock)
    limiter.acquire(burst)
    status = limiter.acquire(min(tokens, burst))
    clock.advance(status.retry_after)
    again = limiter.acquire(min(tokens, burst))
    # Beyond 2**23 s a float of seconds is coarser than a tick, and the sum above may be rounded down by that much.
    assert again.allowed or again.retry_after <= 2**-29


class WaitingLine(RuleBasedStateMachine):
    """Tasks that wait, are cancelled at any point, and others that come by; the model serves them first come, first served.

    The event loop runs only where a rule says so: in between, served tasks have their permits but do not know it yet.
    """

    @initialize(rate=st.sampled_from([0.5, 1.0, 4.0]), burst=st.integers(1, 5))
    def begin(self, rate: float, burst: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock(start=1024.0)
        self.limiter = TokenBucketLimiter(rate, burst, name="line", clock=self.clock)
        self.burst = burst
        self.rate = Fraction(rate)
        self.began = Fraction(1024)
        self.given_out = 0
        self.line: list[tuple[asyncio.Task[RateLimitStatus], int]] = []
        self.finished: list[tuple[asyncio.Task[RateLimitStatus], int]] = []

    @rule(tokens=st.integers(1, 5))
    def wait(self, tokens: int) -> None:
        tokens = min(tokens, self.burst)
        task = self.loop.create_task(self.limiter.acquire_async(tokens, wait=True))
        self.line.append((task, tokens))
        self.run_loop()

    @rule(tokens=st.integers(1, 5))
    def come_by(self, tokens: int) -> None:
        tokens = min(tokens, self.burst)
        if self.limiter.acquire(tokens):
            self.given_out += tokens

    @rule(quarters=st.integers(0, 20))
    def pass_time(self, quarters: int) -> None:
        self.clock.advance(quarters / 4)

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        task, _ = data.draw(st.sampled_from(self.line))
        task.cancel()

    @rule()
    def run_loop(self) -> None:
        for _ in range(30):
            self.loop.run_until_complete(asyncio.sleep(0))
        for task, tokens in list(self.line):
            if task.done():
                self.line.remove((task, tokens))
                if not task.cancelled():
                    self.given_out += tokens

    @invariant()
    def no_more_is_given_out_than_was_earned(self) -> None:
        if hasattr(self, "limiter"):
            elapsed = Fraction(self.clock.monotonic()) - self.began
            assert self.given_out <= self.burst + elapsed * self.rate

    def teardown(self) -> None:
        if not hasattr(self, "limiter"):
            return
        try:
            self.everyone_left_is_served_in_time()
            self.no_permit_is_lost()
        finally:
            for task, _ in self.line:
                task.cancel()
            self.run_loop()
            self.loop.close()

    def everyone_left_is_served_in_time(self) -> None:
        self.run_loop()
        needed = sum(tokens for _, tokens in self.line)
        self.clock.advance(float(needed / self.rate))
        self.run_loop()
        assert not self.line
        assert self.limiter.stats().waiting == 0
        assert not self.limiter._lines

    def no_permit_is_lost(self) -> None:
        self.clock.advance(float(self.burst / self.rate))
        assert self.limiter.acquire(self.burst)


TestWaitingLine = WaitingLine.TestCase
TestWaitingLine.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


@given(
    waits=st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=12),
    run_before_cancel=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_cancelled_waits_leave_exactly_what_they_would_have_taken(
    waits: list[tuple[int, bool]], run_before_cancel: bool
) -> None:
    async def check() -> None:
        clock = FakeClock(start=1024.0)
        limiter = TokenBucketLimiter(1, 4, name="line", clock=clock)
        limiter.acquire(4)
        tasks = [asyncio.create_task(limiter.acquire_async(tokens, wait=True)) for tokens, _ in waits]
        while clock.sleeping < len(tasks):  # noqa: ASYNC110 - each look lets the tasks run on
            await asyncio.sleep(0)
        clock.advance(2)
        if run_before_cancel:
            limiter.acquire(4)  # gets nothing, but serves the line without any task having run
        for task, (_, cancelled) in zip(tasks, waits, strict=True):
            if cancelled:
                task.cancel()
        staying = sum(tokens for tokens, cancelled in waits if not cancelled)
        for _ in range(30):
            await asyncio.sleep(0)
        clock.advance(max(0, staying - 2))
        results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
        assert [isinstance(result, RateLimitStatus) for result in results] == [not gone for _, gone in waits]
        left = min(4, 2 + max(0, staying - 2) - staying)
        assert sum(limiter.acquire().allowed for _ in range(6)) == left

    asyncio.run(check())


# --- threads -------------------------------------------------------------------------------------------------------


@pytest.fixture
def fast_switching() -> Iterator[None]:
    """Let the interpreter change threads every microsecond."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def hammer(threads: int, work: list[int], once: object) -> None:
    barrier = threading.Barrier(threads)

    def run() -> int:
        barrier.wait()
        return sum(bool(once()) for _ in range(50))  # type: ignore[operator]

    with ThreadPoolExecutor(threads) as pool:
        work.extend(future.result() for future in [pool.submit(run) for _ in range(threads)])


@pytest.mark.usefixtures("fast_switching")
@pytest.mark.parametrize("attempt", range(5))
def test_sixty_four_threads_get_exactly_the_burst(attempt: int) -> None:
    limiter = TokenBucketLimiter(1, 1000, name="threads", clock=FakeClock())
    admitted: list[int] = []
    hammer(64, admitted, limiter.acquire)
    stats = limiter.stats()
    assert (sum(admitted), stats.acquired, stats.rejected) == (1000, 1000, 64 * 50 - 1000)


@pytest.mark.usefixtures("fast_switching")
@pytest.mark.parametrize("attempt", range(5))
def test_sixty_four_threads_get_exactly_the_amount_of_a_limit(attempt: int) -> None:
    strategy = TokenBucketRateLimiter(MemoryStorage(), clock=FakeClock())
    item = parse("1000 per hour")
    admitted: list[int] = []
    hammer(64, admitted, lambda: strategy.hit(item, "key"))
    assert sum(admitted) == 1000


@given(amount=st.integers(1, 50), hits=st.lists(st.tuples(steps, st.integers(1, 50)), max_size=40))
@settings(max_examples=50, deadline=None)
def test_the_strategy_decides_as_the_exact_model(amount: int, hits: list[tuple[float, int]]) -> None:
    clock = FakeClock(start=1024.0)
    strategy = TokenBucketRateLimiter(STORAGE, clock=clock)
    item = RateLimitItemPerMinute(amount)
    strategy.clear(item, "key")
    model = ModelBucket(Fraction(amount, 60), amount)
    now = Fraction(1024)
    for seconds, cost in hits:
        clock.advance(seconds)
        model.pass_time(floor_to_tick(clock.monotonic()) - now)
        now = floor_to_tick(clock.monotonic())
        assert strategy.test(item, "key", cost=cost) == (cost <= model.tokens)
        assert strategy.hit(item, "key", cost=cost) == model.take(cost)
        assert strategy.get_window_stats(item, "key").remaining == int(model.tokens)


STORAGE = MemoryStorage()
