"""The hot-path counts: plain ints that guards bump and that observable instruments export.

A synchronous OpenTelemetry counter costs as much as five calls through a circuit breaker; an int under a lock that
the guard holds anyway costs next to nothing. What this module promises in exchange:

- cumulative and monotonic, also after the guard that counted is garbage;
- nothing is lost if guards count before a meter provider is set, whoever sets it;
- right after fork: the child starts at zero instead of repeating its parent's totals;
- bounded: beyond `CARDINALITY_LIMIT` attribute sets of a metric, the rest adds up in one overflow series.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from spanguard import semconv
from spanguard._version import __version__
from spanguard.semconv import Metric, MetricKind

CARDINALITY_LIMIT: Final = 2000
"""Attribute sets per metric, as in the OpenTelemetry SDK."""

_AttributeKey = tuple[tuple[str, str | bool | int | float], ...]
AttributeValues = Mapping[str, str | bool | int | float]
Observe = Callable[[Any], Iterable[tuple[AttributeValues, float]]]

_OVERFLOW: Final[AttributeValues] = {semconv.METRIC_OVERFLOW.key: True}


class Cell:
    """One int of one guard. Who bumps it holds a lock of its own while doing so."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Tally:
    """A cell for those who hold no lock: `bump()` adds one in a single step of C, which no other thread can come between.

    It counts from the number of times it was read, since to read such a counter is to bump it. `Counts` alone reads it.
    """

    __slots__ = ("_reads", "bump")

    def __init__(self) -> None:
        self.bump: Callable[[], int] = itertools.count().__next__
        self._reads = 0

    @property
    def value(self) -> int:
        """How often it was bumped. Under the lock of `Counts`."""
        value = self.bump() - self._reads
        self._reads += 1
        return value


class _Series:
    """All that was counted under one attribute set: the live cells, and the sum of those whose guard is gone."""

    __slots__ = ("at_fork", "attributes", "cells", "retired", "shared")

    def __init__(self, attributes: AttributeValues) -> None:
        self.attributes = dict(attributes)
        self.cells: list[Cell | Tally] = []
        self.shared = Cell()
        self.retired = 0
        self.at_fork = 0

    def total(self) -> int:
        return self.retired + self.shared.value + sum(cell.value for cell in self.cells) - self.at_fork


C = TypeVar("C", Cell, Tally)


class Counts:
    """The owner of the ints. One instance serves the process: `COUNTS`."""

    def __init__(self) -> None:
        # Re-entrant: a garbage collection inside the lock may close a guarded generator, whose guard counts that.
        self._lock = threading.RLock()
        self._series: dict[Metric, dict[_AttributeKey, _Series]] = {}
        self._observers: dict[Metric, list[tuple[weakref.ref[Any], Observe]]] = {}
        self._seen: dict[Metric, dict[_AttributeKey, AttributeValues]] = {}
        # A finalizer may run in the middle of any allocation, also while this thread holds the lock: it only appends.
        self._retired: deque[tuple[_Series, Cell | Tally]] = deque()

    def cell(self, metric: Metric, attributes: AttributeValues, *, owner: object) -> Cell:
        """Return a new int that counts under these attributes for as long as `owner` lives, and is kept afterwards."""
        return self._kept(Cell(), metric, attributes, owner)

    def tally(self, metric: Metric, attributes: AttributeValues, *, owner: object) -> Tally:
        """Return the same for an owner that has no lock of its own."""
        return self._kept(Tally(), metric, attributes, owner)

    def _kept(self, cell: C, metric: Metric, attributes: AttributeValues, owner: object) -> C:
        with self._lock:
            series = self._get_series(metric, attributes)
            series.cells.append(cell)
        weakref.finalize(owner, self._retired.append, (series, cell)).atexit = False
        return cell

    def add(self, metric: Metric, attributes: AttributeValues, amount: int = 1) -> None:
        """Count something rare, that has no guard of its own to hold a cell."""
        with self._lock:
            self._get_series(metric, attributes).shared.value += amount

    def observe(self, metric: Metric, owner: object, callback: Observe) -> None:
        """Ask `callback(owner)` for (attributes, value) pairs at each collection for as long as `owner` lives.

        Values of up-down counters with equal attributes add up, of gauges the smallest stands. `callback` must not
        hold a reference to `owner`, and must not block.
        """
        with self._lock:
            self._observers.setdefault(metric, []).append((weakref.ref(owner), callback))

    def read(self, metric: Metric) -> list[tuple[AttributeValues, float]]:
        """Return the present value of every series of a metric."""
        if metric.kind is MetricKind.COUNTER:
            return self._read_counts(metric)
        return self._read_observers(metric)

    def attach(self, meter: Meter) -> None:
        """Export everything through observable instruments of this meter."""
        create = {
            MetricKind.COUNTER: meter.create_observable_counter,
            MetricKind.UPDOWNCOUNTER: meter.create_observable_up_down_counter,
            MetricKind.GAUGE: meter.create_observable_gauge,
        }
        for metric in semconv.METRICS:
            if metric.kind in create:
                create[metric.kind](metric.name, [self._collector(metric)], metric.unit, metric.meaning)

    def forget_parent(self) -> None:
        """Take the present totals as the zero of this process. Runs in a child right after fork."""
        # Another thread of the parent may have held the lock: that thread does not exist here.
        self._lock = threading.RLock()
        for by_attributes in self._series.values():
            for series in by_attributes.values():
                series.at_fork += series.total()

    def _get_series(self, metric: Metric, attributes: AttributeValues) -> _Series:
        by_attributes = self._series.setdefault(metric, {})
        key = _key(attributes)
        series = by_attributes.get(key)
        if series is None:
            if len(by_attributes) >= CARDINALITY_LIMIT - 1:
                attributes, key = _OVERFLOW, _key(_OVERFLOW)
            series = by_attributes.setdefault(key, _Series(attributes))
        return series

    def _read_counts(self, metric: Metric) -> list[tuple[AttributeValues, float]]:
        with self._lock:
            while self._retired:
                series, cell = self._retired.popleft()
                series.cells.remove(cell)
                series.retired += cell.value
            return [(series.attributes, series.total()) for series in list(self._series.get(metric, {}).values())]

    def _read_observers(self, metric: Metric) -> list[tuple[AttributeValues, float]]:
        with self._lock:
            observers = self._observers.get(metric, [])
            observers[:] = [pair for pair in observers if pair[0]() is not None]
            observers = list(observers)
        values: dict[_AttributeKey, tuple[AttributeValues, float]] = {}
        for reference, callback in observers:
            owner = reference()
            if owner is None:
                continue
            for attributes, value in callback(owner):
                key = _key(attributes)
                if key not in values:
                    values[key] = (attributes, value)
                elif metric.kind is MetricKind.GAUGE:
                    values[key] = (attributes, min(values[key][1], value))
                else:
                    values[key] = (attributes, values[key][1] + value)
        if metric.kind is MetricKind.UPDOWNCOUNTER:
            # A state whose last guard is gone falls to 0; without that an alert on it would stand until it goes stale.
            seen = self._seen.setdefault(metric, {})
            for key, attributes in seen.items():
                values.setdefault(key, (attributes, 0))
            if len(seen) < CARDINALITY_LIMIT:
                seen.update((key, attributes) for key, (attributes, _) in values.items())
        return list(values.values())

    def _collector(self, metric: Metric) -> Callable[[CallbackOptions], list[Observation]]:
        def collect(_: CallbackOptions) -> list[Observation]:
            return [Observation(value, attributes) for attributes, value in self.read(metric)]

        return collect


def _key(attributes: AttributeValues) -> _AttributeKey:
    return tuple(sorted(attributes.items()))


COUNTS: Final = Counts()
"""The counts of this process. The API's proxy meter hands them to whatever provider is or will be set."""

COUNTS.attach(metrics.get_meter(semconv.SCHEMA_SCOPE, __version__))
os.register_at_fork(after_in_child=COUNTS.forget_parent)
