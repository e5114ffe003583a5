"""Every engine against a model in fractions that knows nothing but the law of its strategy."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Protocol

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from spanguard.rate_limiter.deciding import Engine
from spanguard.rate_limiter.engines import engine_for
from spanguard.rate_limiter.rules import Rule, Strategy

TICK = Fraction(1, 2**30)
KINDS: list[Strategy] = [
    "token_bucket",
    "leaky_bucket",
    "leaky_bucket_queue",
    "sliding_window_log",
    "sliding_window_estimate",
]

kinds = st.sampled_from(KINDS)
limits = st.integers(1, 20)
periods = st.sampled_from([Fraction(1), Fraction(1, 10), Fraction(7, 3), Fraction(60), Fraction(10, 77)])
rules = st.builds(Rule, kinds, limits, periods)
# Mostly within a period or two, where something counts; now and then far beyond.
steps = st.fractions(0, 3, max_denominator=64) | st.sampled_from([Fraction(0), Fraction(1), Fraction(2), Fraction(500)])
asks = st.lists(st.tuples(steps, st.integers(1, 20)), min_size=1, max_size=60)


class Model(Protocol):
    """What a strategy promises, in seconds since the beginning."""

    def free(self, now: Fraction) -> int: ...
    def add(self, tokens: int, now: Fraction) -> None: ...
    def reset_at(self, now: Fraction) -> Fraction: ...


class BucketModel:
    """A counter that is topped up."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.tokens = Fraction(rule.limit)
        self.then = Fraction(0)

    def _pass(self, now: Fraction) -> None:
        self.tokens = min(Fraction(self.rule.limit), self.tokens + (now - self.then) * self.rule.rate)
        self.then = now

    def free(self, now: Fraction) -> int:
        self._pass(now)
        return math.floor(self.tokens)

    def add(self, tokens: int, now: Fraction) -> None:
        self._pass(now)
        self.tokens -= tokens

    def reset_at(self, now: Fraction) -> Fraction:
        self._pass(now)
        return now + (self.rule.limit - self.tokens) / self.rule.rate


class LogModel:
    """Every admission, and how many lie in the window that ends now."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.admitted: list[tuple[Fraction, int]] = []

    def free(self, now: Fraction) -> int:
        counting = sum(tokens for at, tokens in self.admitted if now - self.rule.period < at)
        return self.rule.limit - counting

    def add(self, tokens: int, now: Fraction) -> None:
        self.admitted.append((now, tokens))

    def reset_at(self, now: Fraction) -> Fraction:
        return max([now, *(at + self.rule.period for at, _ in self.admitted)])


class EstimateModel:
    """Counters of all fixed windows since the beginning."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.counts: dict[int, int] = {}

    def free(self, now: Fraction) -> int:
        number = math.floor(now / self.rule.period)
        passed = now / self.rule.period - number
        estimate = self.counts.get(number, 0) + self.counts.get(number - 1, 0) * (1 - passed)
        return math.floor(self.rule.limit - estimate)

    def add(self, tokens: int, now: Fraction) -> None:
        number = math.floor(now / self.rule.period)
        self.counts[number] = self.counts.get(number, 0) + tokens

    def reset_at(self, now: Fraction) -> Fraction:
        last = max(self.counts, default=-(10**9))
        return max(now, (last + 2) * self.rule.period)


def model_of(rule: Rule) -> Model:
    if rule.strategy == "sliding_window_log":
        return LogModel(rule)
    if rule.strategy == "sliding_window_estimate":
        return EstimateModel(rule)
    return BucketModel(rule)


def to_ticks(seconds: Fraction) -> int:
    return math.floor(seconds / TICK)


def from_moment(engine: Engine, moment: int) -> Fraction:
    return Fraction(moment, engine.per_tick) * TICK


# The oldest of two counts no more, to the tick, while the newer one does.
@example(
    rule=Rule("sliding_window_log", 2, Fraction(1)),
    requests=[(Fraction(0), 1), (Fraction(1, 2), 1), (Fraction(1, 2), 1)],
)
@given(rule=rules, requests=asks)
@settings(max_examples=300, deadline=None)
def test_every_decision_is_that_of_the_model(rule: Rule, requests: list[tuple[Fraction, int]]) -> None:
    engine, model, ticks = engine_for([rule]), model_of(rule), 0
    for step, wanted in requests:
        tokens = min(wanted, rule.limit)
        ticks += to_ticks(step * rule.period)
        now, seconds = ticks * engine.per_tick, ticks * TICK
        free = model.free(seconds)
        assert engine.peek("key", tokens, now).remaining == free
        status = engine.take("key", tokens, now)
        assert status.allowed == (tokens <= free)
        if status.allowed:
            model.add(tokens, seconds)
        assert status.remaining == model.free(seconds)
        assert status.reset_after == pytest.approx(float(model.reset_at(seconds) - seconds))
        assert status.limit == rule.limit


@given(rule=rules, requests=asks, wanted=st.integers(1, 20))
@settings(max_examples=300, deadline=None)
def test_a_refused_request_is_admitted_at_the_moment_it_was_told_and_not_before(
    rule: Rule, requests: list[tuple[Fraction, int]], wanted: int
) -> None:
    engine, ticks = engine_for([rule]), 0
    tokens = min(wanted, rule.limit)
    for step, taken in requests:
        ticks += to_ticks(step * rule.period)
        engine.take("key", min(taken, rule.limit), ticks * engine.per_tick)
    now = ticks * engine.per_tick
    status = engine.peek("key", tokens, now)
    ready = engine.ready_at("key", tokens, now)
    assert status.allowed == (ready <= now)
    assert status.retry_after == pytest.approx(float(from_moment(engine, max(ready - now, 0))))
    assert engine.peek("key", tokens, max(ready, now)).allowed
    if ready > now:
        assert not engine.peek("key", tokens, ready - 1).allowed


@given(rule=st.builds(Rule, st.just("sliding_window_log"), limits, periods), requests=asks)
@settings(max_examples=100, deadline=None)
def test_no_window_wherever_it_is_laid_holds_more_than_the_limit(
    rule: Rule, requests: list[tuple[Fraction, int]]
) -> None:
    engine, ticks = engine_for([rule]), 0
    admitted: list[tuple[Fraction, int]] = []
    for step, wanted in requests:
        ticks += to_ticks(step * rule.period / 8)
        tokens = min(wanted, rule.limit)
        if engine.take("key", tokens, ticks * engine.per_tick).allowed:
            admitted.append((ticks * TICK, tokens))
    for start, _ in admitted:
        assert sum(tokens for at, tokens in admitted if start <= at < start + rule.period) <= rule.limit


@given(rule=st.builds(Rule, st.just("leaky_bucket_queue"), limits, periods), requests=asks)
@settings(max_examples=100, deadline=None)
def test_a_queue_lets_its_requests_go_one_after_the_other(rule: Rule, requests: list[tuple[Fraction, int]]) -> None:
    engine, ticks = engine_for([rule]), 0
    free_from = Fraction(0)
    for step, wanted in requests:
        tokens = min(wanted, rule.limit)
        ticks += to_ticks(step * rule.period / 8)
        status = engine.take("key", tokens, ticks * engine.per_tick)
        if status.allowed:
            turn = max(free_from, ticks * TICK)
            assert status.delay == pytest.approx(float(turn - ticks * TICK), abs=1e-9)
            free_from = turn + tokens / rule.rate
        else:
            assert status.delay == 0


@given(some=st.lists(rules, min_size=2, max_size=4), requests=asks)
@settings(max_examples=200, deadline=None)
def test_several_limits_admit_what_all_of_them_do_and_charge_all_or_none(
    some: list[Rule], requests: list[tuple[Fraction, int]]
) -> None:
    engine, models, ticks = engine_for(some), [model_of(rule) for rule in some], 0
    for step, wanted in requests:
        tokens = min(wanted, engine.limit)
        ticks += to_ticks(step * some[0].period)
        seconds = ticks * TICK
        free = min(model.free(seconds) for model in models)
        status = engine.take("key", tokens, ticks)
        assert status.allowed == (tokens <= free)
        if status.allowed:
            for model in models:
                model.add(tokens, seconds)
        assert status.remaining == max(min(model.free(seconds) for model in models), 0)
        if not status.allowed:
            ready = engine.ready_at("key", tokens, ticks)
            assert engine.peek("key", tokens, ready).allowed
            assert not engine.peek("key", tokens, ready - 1).allowed


@given(rule=rules, requests=asks, given_back=st.sets(st.integers(0, 59)))
@settings(max_examples=200, deadline=None)
def test_what_is_given_back_leaves_no_less_than_never_taking_it_and_no_more_than_the_law_allows(
    rule: Rule, requests: list[tuple[Fraction, int]], given_back: set[int]
) -> None:
    """Holders of several permits; some hand theirs back at the end. The others' permits stay charged in full."""
    engine, kept, ticks = engine_for([rule]), model_of(rule), 0
    grants = engine.grants("key")
    for index, (step, wanted) in enumerate(requests):
        tokens = min(wanted, rule.limit)
        ticks += to_ticks(step * rule.period / 8)
        now = ticks * engine.per_tick
        grants.age(now)
        if engine.take("key", tokens, now).allowed:
            grants.add(index, tokens, now)
            if index not in given_back:
                kept.add(tokens, ticks * TICK)
    now = ticks * engine.per_tick
    before = engine.peek("key", 1, now).remaining
    for index in range(len(requests)):
        (grants.give_back if index in given_back else lambda holder, _: grants.keep(holder))(index, now)
    after = engine.peek("key", 1, now).remaining
    assert len(grants) == 0
    assert before <= after <= kept.free(ticks * TICK)
    if rule.strategy in ("sliding_window_log", "sliding_window_estimate"):
        assert after == kept.free(ticks * TICK)


@given(kind=kinds, limit=limits, new=limits, period=periods, requests=asks)
@settings(max_examples=200, deadline=None)
def test_a_changed_limit_forgives_nothing(
    kind: Strategy, limit: int, new: int, period: Fraction, requests: list[tuple[Fraction, int]]
) -> None:
    old, ticks = engine_for([Rule(kind, limit, period)]), 0
    for step, wanted in requests:
        ticks += to_ticks(step * period / 8)
        old.take("key", min(wanted, limit), ticks * old.per_tick)
    used = limit - old.peek("key", 1, ticks * old.per_tick).remaining
    changed = engine_for([Rule(kind, new, period)])
    changed.inherit(old, ticks * changed.per_tick)
    left = changed.peek("key", 1, ticks * changed.per_tick).remaining
    assert left == max(new - used, 0)


@given(before=rules, after=rules, requests=asks)
@settings(max_examples=100, deadline=None)
def test_a_changed_strategy_forgives_nothing(before: Rule, after: Rule, requests: list[tuple[Fraction, int]]) -> None:
    assume(before.strategy != after.strategy)
    old, ticks = engine_for([before]), 0
    for step, wanted in requests:
        ticks += to_ticks(step * before.period / 8)
        old.take("key", min(wanted, before.limit), ticks * old.per_tick)
    used = before.limit - old.peek("key", 1, ticks * old.per_tick).remaining
    changed = engine_for([after])
    changed.inherit(old, ticks * changed.per_tick)
    assert changed.peek("key", 1, ticks * changed.per_tick).remaining <= max(after.limit - used, 0)
