"""Captured telemetry in one shape, whether it was caught in the process or arrived over OTLP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

Attributes = Mapping[str, Any]

_LOOK_AGAIN: Final = 0.05
_STATUS: Final = ("unset", "ok", "error")
_KIND: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")


@dataclass(frozen=True, slots=True)
class CapturedSpan:
    """A finished span. Ids are hex, empty where there is none; times are nanoseconds since the Unix epoch."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: str
    status: str
    start: int
    end: int
    attributes: Attributes
    links: tuple[tuple[str, str], ...]
    scope: str
    resource: Attributes


@dataclass(frozen=True, slots=True)
class CapturedEvent:
    """A log record; `name` is its event name, empty for a plain record."""

    name: str
    body: str
    severity: str
    trace_id: str
    span_id: str
    timestamp: int
    attributes: Attributes
    scope: str
    resource: Attributes


@dataclass(frozen=True, slots=True)
class CapturedPoint:
    """The latest value of one series; a histogram's value is its count, and `sum` and `bounds` are its own."""

    metric: str
    unit: str
    kind: str
    value: float
    attributes: Attributes
    scope: str
    resource: Attributes
    sum: float = 0.0
    bounds: tuple[float, ...] = ()


class Signals:
    """What was captured so far; safe to read while more arrives."""

    def __init__(self, collect: Callable[[], None] | None = None) -> None:
        self._collect = collect
        self._arrived = threading.Condition()
        self._spans: list[CapturedSpan] = []
        self._events: list[CapturedEvent] = []
        self._points: dict[tuple[Any, ...], CapturedPoint] = {}
        self._start: dict[tuple[Any, ...], float] = {}

    def spans(self, name: str | None = None) -> list[CapturedSpan]:
        """Return the finished spans, in the order they ended; all, or those of one name."""
        with self._arrived:
            return [span for span in self._spans if name in (None, span.name)]

    def events(self, name: str | None = None) -> list[CapturedEvent]:
        """Return the log records that have an event name, in order; all, or those of one name."""
        with self._arrived:
            return [event for event in self._events if event.name and name in (None, event.name)]

    def logs(self) -> list[CapturedEvent]:
        """Return all log records in order, those without an event name too."""
        with self._arrived:
            return list(self._events)

    def points(self, metric: str | None = None) -> list[CapturedPoint]:
        """Return the latest point of every series; all, or those of one metric."""
        if self._collect is not None:
            self._collect()
        with self._arrived:
            return [point for point in self._points.values() if metric in (None, point.metric)]

    def value(self, metric: str, attributes: Attributes | None = None) -> float:
        """Return the sum of all series of a metric that have these attributes; 0 where there is none."""
        return sum(point.value for point in self.points(metric) if _has(point, attributes))

    def increase(self, metric: str, attributes: Attributes | None = None) -> float:
        """Return by how much `value` grew since the capture began."""
        before = sum(v for key, v in self._start.items() if key[0] == metric and _matches(dict(key[1]), attributes))
        return self.value(metric, attributes) - before

    def wait_for(self, condition: Callable[[Signals], Any], *, timeout: float = 30.0, what: str = "signals") -> Any:
        """Wait until `condition(self)` is true, and return what it returned.

        It is asked again whenever something arrives, and every 50 ms besides: an observable gauge moves only when it is
        collected, which `points` and `value` do.

        Raises:
            TimeoutError: it did not become true within `timeout` seconds.
        """
        end = time.monotonic() + timeout
        while not (result := condition(self)):
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{what} did not arrive within {timeout} s")
            with self._arrived:
                self._arrived.wait(min(left, _LOOK_AGAIN))
        return result

    def mark_start(self) -> None:
        """Take the present values as what `increase` counts from, and forget what was captured before."""
        points = self.points()
        with self._arrived:
            self._start = {(p.metric, tuple(sorted(p.attributes.items()))): p.value for p in points}
            self._spans.clear()
            self._events.clear()

    def start_again_in_child(self) -> None:
        """Drop a lock that another thread of the parent may have held. Runs in a child right after fork."""
        self._arrived = threading.Condition()

    def add_traces(self, request: ExportTraceServiceRequest) -> None:
        """Take in a decoded OTLP request."""
        with self._arrived:
            for group in request.resource_spans:
                resource = _attributes(group.resource.attributes)
                for scoped in group.scope_spans:
                    self._spans += [_span(span, scoped.scope.name, resource) for span in scoped.spans]
            self._arrived.notify_all()

    def add_logs(self, request: ExportLogsServiceRequest) -> None:
        """Take in a decoded OTLP request."""
        with self._arrived:
            for group in request.resource_logs:
                resource = _attributes(group.resource.attributes)
                for scoped in group.scope_logs:
                    self._events += [_event(record, scoped.scope.name, resource) for record in scoped.log_records]
            self._arrived.notify_all()

    def add_metrics(self, request: ExportMetricsServiceRequest) -> None:
        """Take in a decoded OTLP request."""
        with self._arrived:
            for group in request.resource_metrics:
                resource = _attributes(group.resource.attributes)
                for scoped in group.scope_metrics:
                    for metric in scoped.metrics:
                        for point in _points(metric, scoped.scope.name, resource):
                            instance = resource.get("service.instance.id")
                            key = (instance, point.scope, point.metric, tuple(sorted(point.attributes.items())))
                            self._points[key] = point
            self._arrived.notify_all()


def _has(point: CapturedPoint, attributes: Attributes | None) -> bool:
    return _matches(point.attributes, attributes)


def _matches(present: Attributes, wanted: Attributes | None) -> bool:
    return all(present.get(key) == value for key, value in (wanted or {}).items())


def _span(span: Any, scope: str, resource: Attributes) -> CapturedSpan:
    return CapturedSpan(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        kind=_KIND[span.kind],
        status=_STATUS[span.status.code],
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        scope=scope,
        resource=resource,
    )


def _event(record: Any, scope: str, resource: Attributes) -> CapturedEvent:
    return CapturedEvent(
        name=record.event_name,
        body=str(_value(record.body)),
        severity=record.severity_text,
        trace_id=record.trace_id.hex(),
        span_id=record.span_id.hex(),
        timestamp=record.time_unix_nano,
        attributes=_attributes(record.attributes),
        scope=scope,
        resource=resource,
    )


def _points(metric: Any, scope: str, resource: Attributes) -> Iterable[CapturedPoint]:
    shape = metric.WhichOneof("data")
    data = getattr(metric, shape)
    for point in data.data_points:
        common = {
            "metric": metric.name,
            "unit": metric.unit,
            "attributes": _attributes(point.attributes),
            "scope": scope,
            "resource": resource,
        }
        if shape == "histogram":
            yield CapturedPoint(
                **common, kind=shape, value=point.count, sum=point.sum, bounds=tuple(point.explicit_bounds)
            )
        else:
            kind = shape if shape != "sum" else "counter" if data.is_monotonic else "updowncounter"
            yield CapturedPoint(**common, kind=kind, value=getattr(point, point.WhichOneof("value")))


def _attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    field = value.WhichOneof("value")
    if field is None:
        return None
    if field == "array_value":
        return tuple(_value(item) for item in value.array_value.values)
    if field == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    return getattr(value, field)
