"""The adaptive limiter: what is learned from whom, and what is told."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from spanguard.error_handling import BulkheadFullError, CallTimeoutError
from spanguard.rate_limiter import AdaptiveLimiter, AdaptiveLimitExceededError, Aimd, Gradient2, Vegas
from spanguard.rate_limiter.adaptive import Estimate, Window
from spanguard.testing import FakeClock, Signals
from unit.adaptive.conftest import Make
from unit.bulkhead.callers import running


def one_window(limiter: AdaptiveLimiter, clock: FakeClock) -> None:
    """Ten calls, of which two run at once, in a little more than a second."""
    with limiter.calling():
        for _ in range(9):
            limiter.call(clock.advance, 0.125)


# --- what is learned -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [Aimd(latency_limit=0.5), Vegas(), Gradient2()])
def test_calls_that_a_coarse_clock_sees_no_time_pass_in_are_learned_from(
    make: Make, clock: FakeClock, signals: Signals, algorithm: Any
) -> None:
    limiter = make(algorithm, window=1.0, window_calls=1)
    for _ in range(3):
        clock.advance(2)
        limiter.call(int)
    assert limiter.stats().latency == pytest.approx(0, abs=1e-8)
    assert signals.increase("spanguard.telemetry.errors") == 0


@pytest.mark.parametrize("estimate", [Estimate(float("nan"), "latency"), None])
def test_a_broken_algorithm_leaves_the_limit_and_the_calls_as_they_are(
    make: Make, clock: FakeClock, signals: Signals, estimate: Any
) -> None:
    class Broken:
        baseline = None

        def estimator(self) -> Any:
            return self

        def next(self, limit: float, window: Window) -> Any:
            return estimate

    limiter = make(Broken(), initial=7, window=1.0, window_calls=1)
    clock.advance(2)
    assert limiter.call(int) == 0
    assert (limiter.limit, limiter.stats().running) == (7, 0)
    assert signals.increase("spanguard.telemetry.errors", {"spanguard.component": "adaptive limiter"}) == 1


def test_the_limit_moves_after_a_window_of_enough_calls_and_time(make: Make, clock: FakeClock) -> None:
    limiter = make(Aimd(), initial=1, window=1.0, window_calls=10)
    for _ in range(9):
        limiter.call(clock.advance, 1)
        assert limiter.limit == 1
    limiter.call(int)
    assert limiter.limit == 2
    for _ in range(50):
        limiter.call(int)
    assert limiter.limit == 2
    clock.advance(1)
    limiter.call(int)
    assert limiter.limit == 3


@pytest.mark.parametrize(
    ("drop_on", "error", "is_drop"),
    [
        (TimeoutError, TimeoutError(), True),
        (TimeoutError, CallTimeoutError("inner", 1.0), True),
        (TimeoutError, BulkheadFullError("inner", "rejected", 1, 0, 0.0), False),
        (lambda _: True, BulkheadFullError("inner", "rejected", 1, 0, 0.0), True),
        (TimeoutError, ConnectionError(), False),
        ((ConnectionError, TimeoutError), ConnectionError(), True),
        (lambda error: "503" in str(error), RuntimeError("503"), True),
        (lambda error: error.code, RuntimeError("no code"), False),
        (BaseException, KeyboardInterrupt(), False),
        (BaseException, asyncio.CancelledError(), False),
    ],
)
def test_errors_are_drops_or_say_nothing(make: Make, drop_on: Any, error: BaseException, is_drop: bool) -> None:
    limiter = make(drop_on=drop_on)

    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        limiter.call(fail)
    assert limiter.stats().dropped == int(is_drop)


def test_a_block_says_itself_that_it_was_dropped_or_means_nothing(make: Make, clock: FakeClock) -> None:
    limiter = make(Aimd(), initial=10, window_calls=1)
    for say in ("drop", "ignore"):
        with limiter.calling() as call:
            clock.advance(1)
            getattr(call, say)()
        assert limiter.limit == 9
    assert limiter.stats().latency is None


def test_what_was_learned_is_known(make: Make, clock: FakeClock) -> None:
    limiter = make(initial=2, window_calls=2)
    limiter.call(clock.advance, 1)
    limiter.call(clock.advance, 2)
    stats = limiter.stats()
    assert (stats.latency, stats.baseline) == (1.5, 1.5)


def test_64_threads_are_never_more_at_once_than_allowed(make: Make) -> None:
    limiter, lock, peaks = make(Aimd(), initial=3, maximum=3, queue=64, window=1e-6), threading.Lock(), [0, 0]

    def work() -> None:
        with lock:
            peaks[0] += 1
            peaks[1] = max(peaks)
        with lock:
            peaks[0] -= 1

    def work_often() -> None:
        for _ in range(50):
            limiter.call(work)

    with running(*[work_often] * 64):
        pass
    assert peaks[1] <= 3
    assert (limiter.stats().admitted, limiter.stats().running) == (3200, 0)


# --- signals -------------------------------------------------------------------------------------------------------


def test_a_move_is_an_event_that_says_why(make: Make, clock: FakeClock, signals: Signals) -> None:
    limiter = make(Aimd(increase=5), initial=2)
    one_window(limiter, clock)
    (event,) = signals.events("spanguard.adaptive_limit.change")
    assert event.attributes == {
        "spanguard.policy.name": "search",
        "spanguard.adaptive_limit.reason": "headroom",
        "spanguard.adaptive_limit.from": 2,
        "spanguard.adaptive_limit.to": 7,
        "spanguard.adaptive_limit.in_flight.count": 2,
        "spanguard.adaptive_limit.latency": pytest.approx(0.225),
    }


def test_small_moves_are_told_when_they_add_up_to_a_step(make: Make, clock: FakeClock, signals: Signals) -> None:
    limiter = make(Aimd(), initial=20, window_calls=1, event_step=0.1)
    for _ in range(5):
        with limiter.calling() as call:
            clock.advance(1)
            call.drop()
    told = [
        (event.attributes["spanguard.adaptive_limit.from"], event.attributes["spanguard.adaptive_limit.to"])
        for event in signals.events("spanguard.adaptive_limit.change")
    ]
    # 18, 16.2, 14.58, 13.122, 11.8
    assert told == [(20, 18), (18, 16), (16, 14), (14, 11)]


def test_limit_usage_queue_and_latency_are_exported(clock: FakeClock, signals: Signals) -> None:
    # Of a name of its own: limiters that share one add up, and those of other tests may not be collected yet.
    limiter = AdaptiveLimiter(initial=5, window_calls=1, name="exported", clock=clock)
    limiter.call(clock.advance, 1)
    policy = {"spanguard.policy.name": "exported"}
    with limiter.calling():
        values = [signals.value(f"spanguard.adaptive_limit.{name}", policy) for name in ("limit", "usage", "queued")]
    latency = signals.value(
        "spanguard.adaptive_limit.latency", {**policy, "spanguard.adaptive_limit.latency.kind": "window"}
    )
    assert (values, latency) == ([5, 1, 0], 1.0)


def test_calls_and_what_was_learned_from_them_are_counted(make: Make, signals: Signals) -> None:
    limiter = make(initial=1)
    with limiter.calling() as call:
        call.drop()
        with pytest.raises(AdaptiveLimitExceededError):
            limiter.call(int)
    limiter.call(int)

    def increase(metric: str, key: str, value: str) -> float:
        return signals.increase(f"spanguard.adaptive_limit.{metric}", {f"spanguard.adaptive_limit.{key}": value})

    assert increase("calls", "outcome", "admitted") == 2
    assert increase("calls", "outcome", "rejected") == 1
    assert increase("samples", "sample", "dropped") == 1
    assert increase("samples", "sample", "measured") == 1


def test_a_refusal_is_an_event_and_a_failed_span(make: Make, signals: Signals) -> None:
    limiter = make(initial=1)

    @limiter
    def search() -> None:
        limiter.call(int)

    with pytest.raises(AdaptiveLimitExceededError):
        search()
    (event,) = signals.events("spanguard.adaptive_limit.rejected")
    (refused,) = [span for span in signals.spans("guard search") if span.span_id == event.span_id]
    assert refused.attributes["spanguard.outcome"] == "rejected"
    assert refused.attributes["spanguard.adaptive_limit.outcome"] == "rejected"
    assert event.attributes["spanguard.adaptive_limit.limit"] == 1
