"""What the keys of a limit cost in memory, and that they go again."""

from __future__ import annotations

import gc
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest

from spanguard.rate_limiter.deciding import Engine
from spanguard.rate_limiter.engines import engine_for
from spanguard.rate_limiter.rules import STRATEGIES, Rule, Strategy
from spanguard.rate_limiter.storages import MemoryDecider
from spanguard.testing import FakeClock

RULE_SECONDS = Fraction(10)
kinds = pytest.mark.parametrize("kind", STRATEGIES)


def use(engine: Engine, keys: int, *, first: int = 0, second: float = 1000.0) -> None:
    for number in range(first, first + keys):
        engine.take(f"client-{number:010}", 1, engine.moment(second))


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def held_by_engines() -> int:
    """Return the bytes that were allocated by the code of the engines and are not free again."""
    gc.collect()  # which also empties the interpreter's store of freed tuples
    snapshot = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/rate_limiter/engines/*")])
    return sum(statistic.size for statistic in snapshot.statistics("filename"))


@kinds
@pytest.mark.usefixtures("traced")
def test_an_idle_key_costs_at_most_200_bytes_beside_its_text(kind: Strategy) -> None:
    engine = engine_for([Rule(kind, 5, RULE_SECONDS)])
    keys = [f"client-{number:010}" for number in range(10_000)]
    for key in keys:
        engine.take(key, 1, engine.moment(1000.0))
    assert held_by_engines() / len(keys) <= 200
    assert len(engine) == len(keys)


@kinds
@pytest.mark.usefixtures("traced")
def test_keys_go_while_only_one_other_is_in_use_and_their_memory_with_them(kind: Strategy) -> None:
    engine = engine_for([Rule(kind, 5, RULE_SECONDS)])
    use(engine, 20_000)
    assert held_by_engines() > 1_000_000
    second = 1000.0 + 3 * float(RULE_SECONDS)
    for _ in range(100):
        engine.take("in use", 1, engine.moment(second))
        second += 0.02
    assert len(engine) == 1
    assert held_by_engines() < 30_000


@pytest.mark.slow
@kinds
def test_of_a_million_keys_no_more_are_kept_than_twice_those_in_use(kind: Strategy) -> None:
    """Twenty thousand new ones a second, each idle again after one period, or two of an estimate."""
    engine = engine_for([Rule(kind, 5, RULE_SECONDS)])
    most = 0
    for second in range(50):
        use(engine, 20_000, first=second * 20_000, second=1000.0 + second)
        most = max(most, len(engine))
    periods = 2 if kind == "sliding_window_estimate" else 1
    assert most <= 2 * 20_000 * (periods * int(RULE_SECONDS) + 1)


@kinds
def test_a_key_that_somebody_waits_for_stays_however_idle(kind: Strategy) -> None:
    engine = engine_for([Rule(kind, 5, RULE_SECONDS)], held={"client-0000000000"})
    use(engine, 100)
    engine.drop_idle(engine.moment(1000.0 + 3 * float(RULE_SECONDS)))
    assert list(engine.keys()) == ["client-0000000000"]


@kinds
def test_a_sweep_takes_no_key_that_still_counts(kind: Strategy) -> None:
    engine = engine_for([Rule(kind, 1, RULE_SECONDS)])
    use(engine, 3000)
    for step in range(50):
        engine.take("in use", 1, engine.moment(1001.0 + step / 50))
    assert not any(engine.take(f"client-{number:010}", 1, engine.moment(1002.0)).allowed for number in range(3000))


# --- threads -------------------------------------------------------------------------------------------------------


@pytest.fixture
def fast_switching() -> Iterator[None]:
    """Let the interpreter change threads every microsecond."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@kinds
@pytest.mark.usefixtures("fast_switching")
def test_sixty_four_threads_get_exactly_the_limit(kind: Strategy) -> None:
    decider = MemoryDecider((Rule(kind, 1000, RULE_SECONDS), Rule(kind, 1500, 10 * RULE_SECONDS)), clock=FakeClock())
    barrier = threading.Barrier(64)

    def ask() -> int:
        barrier.wait()
        return sum(decider.decide("key").allowed for _ in range(50))

    with ThreadPoolExecutor(64) as pool:
        admitted = sum(future.result() for future in [pool.submit(ask) for _ in range(64)])
    assert admitted == 1000


@kinds
def test_a_wall_clock_that_is_set_changes_nothing(kind: Strategy) -> None:
    clock = FakeClock()
    decider = MemoryDecider((Rule(kind, 2, RULE_SECONDS),), clock=clock)
    decider.decide("key", 2)
    for jump in (-86_400.0, 2 * 86_400.0):
        clock.jump_wall_clock(jump)
        assert not decider.decide("key").allowed
    clock.advance(2 * float(RULE_SECONDS))
    assert decider.decide("key", 2).allowed
