"""The hot-path counts: exact, monotonic, bounded, right after fork and after a guard is gone."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from spanguard import semconv
from spanguard.telemetry import Counts
from spanguard.telemetry.counts import CARDINALITY_LIMIT

CALLS = semconv.BREAKER_CALLS_METRIC
STATUS = semconv.BREAKER_STATUS_METRIC
AVAILABLE = semconv.LIMITER_AVAILABLE_METRIC


class Guard:
    """Something that owns cells and can be collected."""


@pytest.fixture
def counts() -> Counts:
    return Counts()


def total(counts: Counts, metric: semconv.Metric = CALLS) -> float:
    return sum(value for _, value in counts.read(metric))


def test_cells_with_equal_attributes_add_up(counts: Counts) -> None:
    first, second = Guard(), Guard()
    counts.cell(CALLS, {"a": "x"}, owner=first).value += 2
    counts.cell(CALLS, {"a": "x"}, owner=second).value += 3
    assert counts.read(CALLS) == [({"a": "x"}, 5)]


def test_a_tally_counts_how_often_it_was_bumped_however_often_it_is_read(counts: Counts) -> None:
    guard = Guard()
    tally = counts.tally(CALLS, {"a": "x"}, owner=guard)
    read = []
    for _ in range(3):
        tally.bump()
        read += [total(counts), total(counts)]
    assert read == [1, 1, 2, 2, 3, 3]


def test_cells_and_tallies_add_up(counts: Counts) -> None:
    guard = Guard()
    counts.cell(CALLS, {"a": "x"}, owner=guard).value += 2
    counts.tally(CALLS, {"a": "x"}, owner=guard).bump()
    assert counts.read(CALLS) == [({"a": "x"}, 3)]
    del guard
    gc.collect()
    assert counts.read(CALLS) == [({"a": "x"}, 3)]


def test_a_tally_loses_nothing_between_threads_that_bump_and_one_that_reads(counts: Counts) -> None:
    guard = Guard()
    tally = counts.tally(CALLS, {"a": "x"}, owner=guard)
    done = threading.Event()
    read: list[float] = []

    def look() -> None:
        while not done.is_set():
            read.append(total(counts))

    def work() -> None:
        for _ in range(20_000):
            tally.bump()

    looking, *working = [threading.Thread(target=each) for each in (look, *[work] * 4)]
    looking.start()
    for thread in working:
        thread.start()
    for thread in working:
        thread.join()
    done.set()
    looking.join()
    assert total(counts) == 80_000
    assert read == sorted(read)


def test_the_order_of_attributes_does_not_matter(counts: Counts) -> None:
    counts.add(CALLS, {"a": "x", "b": "y"})
    counts.add(CALLS, {"b": "y", "a": "x"})
    assert counts.read(CALLS) == [({"a": "x", "b": "y"}, 2)]


def test_a_tally_begins_at_zero_in_a_child(counts: Counts) -> None:
    guard = Guard()
    tally = counts.tally(CALLS, {"a": "x"}, owner=guard)
    tally.bump()
    counts.forget_parent()
    tally.bump()
    assert total(counts) == 1


def test_a_count_survives_its_guard(counts: Counts) -> None:
    guard = Guard()
    counts.cell(CALLS, {"a": "x"}, owner=guard).value += 7
    del guard
    gc.collect()
    assert counts.read(CALLS) == [({"a": "x"}, 7)]


def test_many_short_lived_guards_leave_one_series_and_no_cells(counts: Counts) -> None:
    for _ in range(1000):
        counts.cell(CALLS, {"a": "x"}, owner=Guard()).value += 1
    gc.collect()
    assert counts.read(CALLS) == [({"a": "x"}, 1000)]
    series = counts._series[CALLS][("a", "x"),]
    assert series.cells == []


def test_beyond_the_cardinality_limit_everything_adds_up_in_the_overflow_series(counts: Counts) -> None:
    for number in range(CARDINALITY_LIMIT + 50):
        counts.add(CALLS, {"a": str(number)})
    readings = counts.read(CALLS)
    assert len(readings) == CARDINALITY_LIMIT
    assert ({semconv.METRIC_OVERFLOW.key: True}, 51) in readings


def test_adding_from_many_threads_loses_nothing(counts: Counts) -> None:
    def add() -> None:
        for _ in range(2000):
            counts.add(CALLS, {"a": "x"})

    threads = [threading.Thread(target=add) for _ in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert total(counts) == 16_000


def test_observed_up_down_values_of_one_series_add_up(counts: Counts) -> None:
    guards = [Guard(), Guard()]
    for guard in guards:
        counts.observe(STATUS, guard, lambda _: [({"state": "open"}, 1)])
    assert counts.read(STATUS) == [({"state": "open"}, 2)]


def test_of_gauges_that_share_a_series_the_smallest_stands(counts: Counts) -> None:
    guards = [Guard(), Guard()]
    counts.observe(AVAILABLE, guards[0], lambda _: [({}, 5)])
    counts.observe(AVAILABLE, guards[1], lambda _: [({}, 3)])
    assert counts.read(AVAILABLE) == [({}, 3)]


def test_a_state_falls_to_zero_when_its_guard_is_gone(counts: Counts) -> None:
    guard = Guard()
    counts.observe(STATUS, guard, lambda _: [({"state": "open"}, 1)])
    assert counts.read(STATUS) == [({"state": "open"}, 1)]
    del guard
    gc.collect()
    assert counts.read(STATUS) == [({"state": "open"}, 0)]


@pytest.fixture
def reader(counts: Counts) -> Iterator[InMemoryMetricReader]:
    """A reader of a meter provider that comes after the counts."""
    counts.add(CALLS, {"a": "early"}, 4)
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    counts.attach(provider.get_meter("test"))
    yield reader
    provider.shutdown()


def test_what_was_counted_before_a_provider_came_is_exported(reader: InMemoryMetricReader) -> None:
    data = reader.get_metrics_data()
    assert data is not None
    metrics = {metric.name: metric for metric in data.resource_metrics[0].scope_metrics[0].metrics}
    calls = metrics[CALLS.name]
    assert (calls.unit, [point.value for point in calls.data.data_points]) == ("{call}", [4])  # type: ignore[union-attr]


def test_a_forked_child_starts_at_zero_and_the_parent_goes_on(counts: Counts) -> None:
    guard = Guard()
    cell = counts.cell(CALLS, {"a": "x"}, owner=guard)
    cell.value += 5
    os.register_at_fork(after_in_child=counts.forget_parent)
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        before = total(counts)
        cell.value += 2
        os.write(write_end, f"{before} {total(counts)}".encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(read_end, 100).decode() == "0 2"
    assert total(counts) == 5
    os.close(read_end)
    os.close(write_end)


def test_a_child_forked_while_another_thread_holds_the_lock_can_count(counts: Counts) -> None:
    os.register_at_fork(after_in_child=counts.forget_parent)
    with counts._lock:
        pid = os.fork()
        if pid == 0:
            counts.add(CALLS, {"a": "x"})
            os._exit(int(total(counts)))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9), st.booleans()), max_size=40))
def test_totals_equal_what_was_counted_whenever_guards_die(steps: list[tuple[str, int, bool]]) -> None:
    counts = Counts()
    alive: list[Guard] = []
    expected: dict[str, int] = {}
    for name, amount, dies in steps:
        guard = Guard()
        counts.cell(CALLS, {"name": name}, owner=guard).value += amount
        expected[name] = expected.get(name, 0) + amount
        if not dies:
            alive.append(guard)
        del guard
        assert {attributes["name"]: value for attributes, value in counts.read(CALLS)} == expected
