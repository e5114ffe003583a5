"""The limits plugin: which classes and objects it covers, that it goes without a trace, and what it never says."""

from __future__ import annotations

import functools
import importlib.metadata
import threading
from collections.abc import Iterator
from typing import Any

import limits.aio.strategies
import limits.strategies
import pytest
from limits import RateLimitItem, RateLimitItemPerHour, parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter
from opentelemetry import trace

from spanguard import semconv
from spanguard.instrumentation.limits import LimitsInstrumentor
from spanguard.rate_limiter import TokenBucketLimiter
from spanguard.testing import Signals

REQUESTS = semconv.LIMITER_REQUESTS_METRIC.name
STRATEGY = semconv.LIMITER_STRATEGY.key


@pytest.fixture
def plugin() -> Iterator[LimitsInstrumentor]:
    """The plugin, switched on."""
    instrumentor = LimitsInstrumentor()
    instrumentor.instrument()
    yield instrumentor
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()


@pytest.fixture
def item() -> RateLimitItem:
    return parse("2 per hour")


class Existing(FixedWindowRateLimiter):
    """A user's strategy that adds to a known one; defined before the plugin is switched on."""

    def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        return super().hit(item, "prefix", *identifiers, cost=cost)


class Halving:
    """A mixin that decides without asking further."""

    calls = 0

    def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        self.calls += 1
        return self.calls % 2 == 1


class Mixed(Halving, MovingWindowRateLimiter):
    """A user's strategy whose `hit` comes from a mixin."""


def every_method() -> dict[tuple[type, str], Any]:
    """All that the plugin could leave behind: the namespace entries of every class of strategies."""

    def below(cls: Any) -> Iterator[type]:
        yield cls
        for child in cls.__subclasses__():
            yield from below(child)

    return {
        (cls, name): cls.__dict__.get(name)
        for base in (limits.strategies.RateLimiter, limits.aio.strategies.RateLimiter)
        for cls in below(base)
        for name in ("hit", "test", "get_window_stats", "clear", "__init_subclass__")
    }


def test_everything_is_as_before_after_uninstrument() -> None:
    before = every_method()
    LimitsInstrumentor().instrument()
    assert every_method() != before
    LimitsInstrumentor().uninstrument()
    assert every_method() == before


def test_it_can_be_switched_on_again(item: RateLimitItem, signals: Signals) -> None:
    strategy = FixedWindowRateLimiter(MemoryStorage())
    for _ in range(2):
        LimitsInstrumentor().instrument()
        strategy.hit(item, "key")
        LimitsInstrumentor().uninstrument()
        strategy.hit(item, "key")
    assert signals.increase(REQUESTS) == 2


def test_objects_built_before_are_covered(item: RateLimitItem, signals: Signals) -> None:
    strategy = FixedWindowRateLimiter(MemoryStorage())
    LimitsInstrumentor().instrument()
    strategy.hit(item, "key")
    LimitsInstrumentor().uninstrument()
    assert signals.increase(REQUESTS) == 1


def test_objects_and_methods_taken_meanwhile_fall_silent(
    plugin: LimitsInstrumentor, item: RateLimitItem, signals: Signals
) -> None:
    strategy = FixedWindowRateLimiter(MemoryStorage())
    taken = strategy.hit
    assert taken(item, "key") is True
    plugin.uninstrument()
    assert strategy.hit(item, "key") is True
    assert taken(item, "key") is False
    assert signals.increase(REQUESTS) == 1


def test_a_subclass_that_calls_super_counts_once(
    plugin: LimitsInstrumentor, item: RateLimitItem, signals: Signals
) -> None:
    assert Existing(MemoryStorage()).hit(item, "key")
    assert signals.increase(REQUESTS, {STRATEGY: "fixed_window"}) == 1
    assert signals.increase(REQUESTS) == 1


def test_a_hit_from_a_mixin_counts(plugin: LimitsInstrumentor, item: RateLimitItem, signals: Signals) -> None:
    strategy = Mixed(MemoryStorage())
    assert [strategy.hit(item), strategy.hit(item)] == [True, False]
    assert signals.increase(REQUESTS, {STRATEGY: "moving_window"}) == 2


def test_a_class_defined_meanwhile_is_covered_and_restored(
    plugin: LimitsInstrumentor, item: RateLimitItem, signals: Signals
) -> None:
    def hit(self: Any, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        return True

    late = type("Late", (limits.strategies.RateLimiter,), {"hit": hit, "test": hit, "get_window_stats": hit})
    strategy = late(MemoryStorage())
    strategy.hit(item)
    assert signals.increase(REQUESTS, {STRATEGY: "other"}) == 1
    plugin.uninstrument()
    assert late.__dict__["hit"] is hit


def test_what_somebody_else_wrapped_meanwhile_stays_theirs(
    plugin: LimitsInstrumentor, item: RateLimitItem, signals: Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = FixedWindowRateLimiter.hit

    @functools.wraps(ours)
    def theirs(*args: Any, **kwargs: Any) -> bool:
        return ours(*args, **kwargs)

    monkeypatch.setattr(FixedWindowRateLimiter, "hit", theirs)
    strategy = FixedWindowRateLimiter(MemoryStorage())
    strategy.hit(item, "key")
    assert signals.increase(REQUESTS) == 1
    plugin.uninstrument()
    assert FixedWindowRateLimiter.hit is theirs
    strategy.hit(item, "key")
    assert signals.increase(REQUESTS) == 1
    monkeypatch.undo()
    # What monkeypatch put back is our wrapper, now silent: take it off for the tests that follow.
    FixedWindowRateLimiter.hit = ours.__wrapped__  # type: ignore[attr-defined,method-assign]


def test_a_spanguard_limiter_does_not_count_twice(plugin: LimitsInstrumentor, signals: Signals) -> None:
    TokenBucketLimiter(1, 5, name="own").acquire()
    assert signals.increase(REQUESTS) == 1


def test_no_identifier_and_no_namespace_appears_in_a_signal(plugin: LimitsInstrumentor, signals: Signals) -> None:
    strategy = FixedWindowRateLimiter(MemoryStorage())
    item = RateLimitItemPerHour(1, namespace="anna@example.org")
    with trace.get_tracer("test").start_as_current_span("caller"):
        for _ in range(2):
            strategy.hit(item, "ben@example.org")
    everything = f"{signals.spans()} {signals.events()} {signals.points()}"
    assert "1 per 1 hour" in everything
    assert "example.org" not in everything


def test_a_rejection_is_an_event_and_marks_the_current_span(
    plugin: LimitsInstrumentor, item: RateLimitItem, signals: Signals
) -> None:
    strategy = FixedWindowRateLimiter(MemoryStorage())
    with trace.get_tracer("test").start_as_current_span("caller"):
        strategy.hit(item, "key", cost=3)
    (span,) = signals.spans("caller")
    (event,) = signals.events(semconv.LIMITER_REJECTED_EVENT.name)
    outcome = {
        semconv.POLICY_NAME.key: "2 per 1 hour",
        STRATEGY: "fixed_window",
        semconv.LIMITER_RESULT.key: "rejected",
    }
    assert dict(span.attributes) == outcome
    assert dict(event.attributes) == {**outcome, semconv.LIMITER_LIMIT.key: 2, semconv.LIMITER_COST.key: 3}
    assert event.span_id == span.span_id


def test_a_failure_of_our_own_changes_nothing_and_is_counted(plugin: LimitsInstrumentor, signals: Signals) -> None:
    class Unprintable(RateLimitItemPerHour):
        def __repr__(self) -> str:
            raise RuntimeError("no name")

    assert FixedWindowRateLimiter(MemoryStorage()).hit(Unprintable(5), "key") is True
    assert signals.increase(semconv.TELEMETRY_ERRORS_METRIC.name, {semconv.COMPONENT.key: "limits"}) == 1


def test_hits_of_many_threads_are_all_counted(plugin: LimitsInstrumentor, signals: Signals) -> None:
    strategy = FixedWindowRateLimiter(MemoryStorage())
    item = parse("1000000 per hour")

    def run() -> None:
        for _ in range(500):
            strategy.hit(item, "key")

    threads = [threading.Thread(target=run) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert signals.increase(REQUESTS) == 16 * 500


def test_ever_new_limits_do_not_pile_up_and_none_is_lost(plugin: LimitsInstrumentor, signals: Signals) -> None:
    strategy = FixedWindowRateLimiter(MemoryStorage())
    for number in range(2500):
        # Kinds of their own that share one name: the cardinality of this process's metrics is not the point here.
        kind: Any = type(RateLimitItemPerHour)(f"Kind{number}", (RateLimitItemPerHour,), {})  # type: ignore[misc]
        strategy.hit(kind(10_000), "key")
    assert max(len(known) for patch in plugin._patches for known in patch._known) <= 1000
    assert signals.increase(REQUESTS) == 2500


@pytest.mark.parametrize("version", [None, "4.0", "6.0"])
def test_an_absent_or_unknown_version_is_skipped_alone(version: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def pretend(name: str) -> str:
        if name != "limits":
            return real(name)
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr("opentelemetry.instrumentation.dependencies.version", pretend)
    before = every_method()
    with pytest.raises(ModuleNotFoundError, match="limits plugin is skipped"):
        LimitsInstrumentor().instrument(skip_dep_check=True)
    assert not LimitsInstrumentor().is_instrumented_by_opentelemetry
    assert every_method() == before
