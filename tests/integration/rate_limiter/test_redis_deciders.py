"""The script on a real server against the engines, decision for decision, sync and async.

Time is the only thing that is not real: the one line of the script that reads the server's clock reads a key instead.
The engines have been held against models in fractions; here they are the model.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from limits.storage import storage_from_string

from integration.rate_limiter.server_clock import BEGIN, ServerClock, read_clock_from_a_key
from integration.redis_server import RedisServer
from spanguard.rate_limiter.engines import engine_for
from spanguard.rate_limiter.rules import Rule, Strategy
from spanguard.rate_limiter.status import RateLimitStatus
from spanguard.rate_limiter.storages.redis import AsyncRedisDecider, RedisDecider

KINDS: list[Strategy] = [
    "token_bucket",
    "leaky_bucket",
    "leaky_bucket_queue",
    "sliding_window_log",
    "sliding_window_estimate",
]

kinds = st.sampled_from(KINDS)
limits = st.integers(1, 20)
# Long enough that nothing expires by the real clock meanwhile; the server counts windows in whole microseconds.
periods = st.sampled_from([Fraction(60), Fraction(90), Fraction(1000, 7), Fraction(3600), Fraction(30 * 86_400)])
rules = st.builds(Rule, kinds, limits, periods)
steps = st.fractions(0, 3, max_denominator=64) | st.sampled_from([Fraction(0), Fraction(1), Fraction(2), Fraction(500)])
asks = st.lists(st.tuples(steps, st.integers(1, 20), st.booleans()), min_size=1, max_size=25)
numbers = itertools.count()

on_server = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def server_clock(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerClock]:
    read_clock_from_a_key(monkeypatch)
    client = redis_server.client()
    yield ServerClock(client)
    client.close()


Ask = Callable[[str, int, bool], RateLimitStatus]
Making = Callable[..., Ask]


@pytest.fixture(params=["sync", "async"])
def making(request: pytest.FixtureRequest, redis_server: RedisServer) -> Iterator[Making]:
    """What makes a decider for rules, sync or async, to be asked in the same way."""
    if request.param == "sync":
        storage: Any = storage_from_string(redis_server.url)

        def make(*rules: Rule) -> Ask:
            decider = RedisDecider(storage, rules)
            return lambda key, tokens, take: (decider.decide if take else decider.peek)(key, tokens)

        yield make
        storage.storage.close()
        return

    loop = asyncio.new_event_loop()
    async_storage: Any = storage_from_string(f"async+{redis_server.url}", implementation="redispy")

    def make_async(*rules: Rule) -> Ask:
        decider = AsyncRedisDecider(async_storage, rules)
        return lambda key, tokens, take: loop.run_until_complete(
            (decider.decide if take else decider.peek)(key, tokens)
        )

    yield make_async
    loop.run_until_complete(async_storage.bridge.storage.aclose())
    loop.close()


def as_the_server_counts(rule: Rule) -> Rule:
    """Return the rule with its window in whole microseconds, as the server rounds it up."""
    if rule.strategy in ("sliding_window_log", "sliding_window_estimate"):
        return Rule(rule.strategy, rule.limit, Fraction(math.ceil(rule.period * 1_000_000), 1_000_000))
    return rule


def same(status: RateLimitStatus, expected: RateLimitStatus) -> bool:
    # The server rounds up to whole microseconds, as there is no moment in between at which it could be asked again.
    return (status.allowed, status.remaining, status.limit) == (
        expected.allowed,
        expected.remaining,
        expected.limit,
    ) and all(
        getattr(status, field) == pytest.approx(getattr(expected, field), rel=1e-9, abs=1.01e-6)
        for field in ("retry_after", "reset_after", "delay")
    )


class Twin:
    """An engine that is told the server's time; it counts microseconds as the server does, from the Unix epoch."""

    def __init__(self, *rules: Rule) -> None:
        # An engine counts in ticks: a period that is longer by 2**30 / 10**6 makes each of its ticks a microsecond.
        scale = Fraction(10**6, 2**30)
        self.engine = engine_for([Rule(r.strategy, r.limit, as_the_server_counts(r).period * scale) for r in rules])
        self.scale = float(1 / scale)

    def ask(self, microseconds: int, tokens: int, take: bool) -> RateLimitStatus:
        now = microseconds * self.engine.per_tick
        said = (self.engine.take if take else self.engine.peek)("key", tokens, now)
        return said._replace(
            retry_after=said.retry_after * self.scale,
            reset_after=said.reset_after * self.scale,
            delay=said.delay * self.scale,
        )


# Seven parts of a microsecond make the difference between full and not.
@example(
    rule=Rule("token_bucket", 7, Fraction(60)),
    requests=[*[(Fraction(0), 1, True)] * 7, (Fraction(8_571_428, 60_000_000), 1, True)],
)
@given(rule=rules, requests=asks)
@on_server
def test_every_decision_is_that_of_the_engine(
    making: Making, server_clock: ServerClock, rule: Rule, requests: list[tuple[Fraction, int, bool]]
) -> None:
    server_clock.set(BEGIN)
    key, ask, twin = f"key-{next(numbers)}", making(rule), Twin(rule)
    for step, wanted, take in requests:
        tokens = min(wanted, rule.limit)
        server_clock.advance(int(step * rule.period * 1_000_000))
        expected = twin.ask(server_clock.now, tokens, take)
        status = ask(key, tokens, take)
        assert same(status, expected), (status, expected)


@given(some=st.lists(rules, min_size=2, max_size=3), requests=asks)
@on_server
def test_several_limits_are_decided_as_one(
    making: Making, server_clock: ServerClock, some: list[Rule], requests: list[tuple[Fraction, int, bool]]
) -> None:
    server_clock.set(BEGIN)
    key, ask, twin = f"key-{next(numbers)}", making(*some), Twin(*some)
    for step, wanted, take in requests:
        tokens = min(wanted, twin.engine.limit)
        server_clock.advance(int(step * some[0].period * 1_000_000))
        expected = twin.ask(server_clock.now, tokens, take)
        status = ask(key, tokens, take)
        assert same(status, expected), (status, expected)
