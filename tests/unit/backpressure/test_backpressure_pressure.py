"""Pressure: when it begins and ends, what sheds by sojourn time, and what is told of it."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import pytest
from opentelemetry import trace

from spanguard.rate_limiter import BackpressureError, BackpressureManager, CoDel, PressureChange
from spanguard.testing import FakeClock, Signals
from unit.backpressure.conftest import Make
from unit.bulkhead.callers import DEADLINE, running, wait_until


def test_pressure_begins_at_the_high_watermark_and_ends_at_the_low_one(make: Make) -> None:
    orders = make(10, high_watermark=0.8, low_watermark=0.5)
    course = []
    for number in range(9):
        orders.put(number)
        course.append(orders.under_pressure)
    for _ in range(9):
        orders.get()
        course.append(orders.under_pressure)
    assert course == [False] * 7 + [True] * 2 + [True] * 3 + [False] * 6


def test_a_watermark_is_the_share_that_was_written(make: Make) -> None:
    orders = make(100, high_watermark=0.55, low_watermark=0.29)
    for number in range(55):
        orders.put(number)
    assert orders.under_pressure
    for _ in range(26):
        orders.get()
    assert not orders.under_pressure


def test_a_change_is_told_once_with_its_reason_and_its_numbers(make: Make, clock: FakeClock) -> None:
    changes: list[PressureChange] = []
    orders = make(2, "drop_oldest", high_watermark=1.0, low_watermark=0.5, on_change=changes.append)
    orders.put("a")
    clock.advance(1)
    orders.put("b")
    clock.advance(2)
    orders.put("c")
    orders.get()
    assert changes == [
        PressureChange(True, "high_watermark", 2, 2, 1.0),
        PressureChange(False, "relieved", 1, 2, 0.0, duration=2.0, shed=1),
    ]


def test_changes_are_told_in_their_order_though_a_callback_is_slow(make: Make) -> None:
    changes: list[bool] = []
    go_on, is_in = threading.Event(), threading.Event()

    def slow(change: PressureChange) -> None:
        is_in.set()
        go_on.wait(DEADLINE)
        changes.append(change.under_pressure)

    orders = make(1, high_watermark=1.0, low_watermark=0.0, on_change=slow)
    with running(lambda: orders.put("a")):
        assert is_in.wait(DEADLINE)
        # Others neither wait for the callback nor overtake it.
        assert orders.get() == "a"
        orders.put("b")
        go_on.set()
    assert changes == [True, False, True]


# --- sojourn time --------------------------------------------------------------------------------------------------


def codel_queue(make: Make, shed: list[int]) -> BackpressureManager[int]:
    def note(item: int, reason: str) -> None:
        assert reason == "sojourn"
        shed.append(item)

    return make(10_000, codel=CoDel(0.005, 0.1), on_shed=note)


def serve(orders: BackpressureManager[int], clock: FakeClock, seconds: float, *, arrivals: int, pause: float) -> None:
    """One consumer, `pause` seconds an item, while so many come each time."""
    for _ in range(round(seconds / pause)):
        for number in range(arrivals):
            orders.put(number)
        clock.advance(pause)
        if len(orders):
            orders.get()


def test_a_burst_that_is_worked_off_within_the_interval_passes(make: Make, clock: FakeClock) -> None:
    shed: list[int] = []
    orders = codel_queue(make, shed)
    for number in range(90):
        orders.put(number)
    serve(orders, clock, 0.09, arrivals=0, pause=0.001)
    assert shed == []


def test_a_queue_that_stands_sheds_ever_faster_until_it_does_not(make: Make, clock: FakeClock) -> None:
    tick = 2**-10  # of which a float holds every multiple
    times: list[float] = []
    start = clock.monotonic()
    orders = make(
        10_000, codel=CoDel(5 * tick, 100 * tick), on_shed=lambda *_: times.append((clock.monotonic() - start) / tick)
    )
    for number in range(1000):
        orders.put(number)
    while len(orders):
        clock.advance(tick)
        orders.get()
    # One interval after the first item that was above the target, then 1/sqrt(n) of one after the other.
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert times[0] == 105
    assert pauses[:4] == pytest.approx([100, 100 / 2**0.5, 100 / 3**0.5, 100 / 4**0.5], abs=1)


def test_a_queue_that_stands_again_soon_sheds_at_the_pace_that_it_had(make: Make, clock: FakeClock) -> None:
    tick = 2**-10
    times: list[float] = []
    orders = make(10_000, codel=CoDel(5 * tick, 100 * tick), on_shed=lambda *_: times.append(clock.monotonic() / tick))

    def stand(ticks: int) -> None:
        for number in range(ticks * 2):
            orders.put(number)
        for _ in range(ticks):
            clock.advance(tick)
            orders.get()

    stand(400)
    first = len(times)
    assert first == 5
    # Relieved for a moment.
    while len(orders):
        orders.get()
    orders.put(0)
    orders.get()
    stand(300)
    assert times[first + 1] - times[first] == pytest.approx(100 / (first - 1) ** 0.5, abs=1)


def test_sojourn_shedding_keeps_a_slightly_overloaded_queue_near_the_target(make: Make, clock: FakeClock) -> None:
    # 1 % more than can be served: the queue would grow for ever.
    shed: list[int] = []
    orders = codel_queue(make, shed)
    longest = 0.0
    for number in range(30_000):
        orders.put(number)
        if number % 100 == 0:
            orders.put(number)
        clock.advance(0.001)
        orders.get()
        if number > 15_000:
            longest = max(longest, orders.stats().oldest_age)
    assert 200 <= len(shed) <= 400
    assert longest < 0.06


def test_the_last_item_is_never_shed(make: Make, clock: FakeClock) -> None:
    shed: list[int] = []
    orders = codel_queue(make, shed)
    for number in range(20):
        orders.put(number)
        clock.advance(10)
        assert orders.get() == number
    assert shed == []


def test_a_standing_queue_is_under_pressure_below_the_high_watermark(make: Make, clock: FakeClock) -> None:
    changes: list[PressureChange] = []
    orders = make(1000, codel=CoDel(0.005, 0.1), on_change=changes.append)
    for number in range(10):
        orders.put(number)
    clock.advance(0.2)
    orders.get()
    clock.advance(0.2)
    orders.get()
    assert [(change.reason, change.under_pressure) for change in changes] == [("sojourn", True)]
    while len(orders):
        orders.get()
    assert [change.reason for change in changes] == ["sojourn", "relieved"]


# --- signals -------------------------------------------------------------------------------------------------------


def test_each_change_is_an_event_that_says_why(make: Make, signals: Signals) -> None:
    orders = make(2, "drop_newest")
    for item in "abc":
        orders.put(item)
    orders.drain(0)
    on, off = signals.events("spanguard.backpressure.state_change")
    assert (on.severity, off.severity) == ("WARN", "INFO")
    assert on.attributes == {
        "spanguard.policy.name": "orders",
        "spanguard.backpressure.state": "on",
        "spanguard.backpressure.reason": "high_watermark",
        "spanguard.backpressure.depth": 2,
        "spanguard.backpressure.limit": 2,
        "spanguard.backpressure.oldest_age": 0.0,
    }
    assert off.attributes["spanguard.backpressure.reason"] == "drained"
    assert off.attributes["spanguard.backpressure.shed.count"] == 1


def test_depth_limit_pressure_and_age_are_exported(clock: FakeClock, signals: Signals) -> None:
    # Of a name of its own: queues that share one add up, and those of other tests may not be collected yet.
    orders: BackpressureManager[str] = BackpressureManager(2, name="exported", clock=clock)
    orders.put("a")
    clock.advance(3)
    orders.put("b")
    policy = {"spanguard.policy.name": "exported"}
    values = [
        signals.value(f"spanguard.backpressure.{name}", policy) for name in ("depth", "limit", "status", "oldest_age")
    ]
    assert values == [2, 2, 1, 3.0]


def test_every_item_is_counted_by_what_became_of_it(make: Make, signals: Signals) -> None:
    orders = make(1)
    orders.put("a")
    with pytest.raises(BackpressureError):
        orders.put("b", timeout=0)
    orders.get()
    oldest = make(1, "drop_oldest")
    for item in "abc":
        oldest.put(item)

    def increase(name: str, **attributes: str) -> float:
        return signals.increase(
            f"spanguard.backpressure.{name}", {f"spanguard.backpressure.{k}": v for k, v in attributes.items()}
        )

    assert increase("puts", outcome="accepted") == 4
    assert increase("puts", outcome="rejected") == 1
    assert signals.increase("spanguard.backpressure.shed", {"spanguard.backpressure.shed.reason": "oldest"}) == 2
    assert increase("gets") == 1


def test_a_wait_for_a_place_is_a_span_of_its_producer(make: Make, signals: Signals) -> None:
    orders = make(1)
    orders.put("a")

    def produce() -> None:
        with trace.get_tracer("test").start_as_current_span("producer"):
            orders.put("b")

    with running(produce):
        wait_until(lambda: orders.stats().producers == 1)
        orders.get()
    (wait,) = signals.spans("queue orders")
    (producer,) = signals.spans("producer")
    assert wait.parent_id == producer.span_id
    assert wait.attributes["spanguard.backpressure.outcome"] == "accepted"


def test_a_refusal_is_written_on_the_span_of_its_producer(make: Make, signals: Signals) -> None:
    orders = make(1, "drop_newest")
    with trace.get_tracer("test").start_as_current_span("producer"):
        orders.put("a")
        orders.put("b")
    (producer,) = signals.spans("producer")
    assert producer.attributes["spanguard.backpressure.outcome"] == "shed"


def test_no_item_is_in_any_signal_or_text(make: Make, signals: Signals) -> None:
    secret = "a-secret"
    orders = make(1, "reject")
    orders.put(secret)
    with pytest.raises(BackpressureError) as caught:
        orders.put(secret)
    told: list[Any] = [repr(orders), repr(orders.stats()), str(caught.value), *signals.events(), *signals.points()]
    assert secret not in repr(told)
