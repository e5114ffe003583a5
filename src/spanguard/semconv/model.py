"""What a registered signal is: its name, unit, meaning and attributes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Stability(StrEnum):
    """How firmly a name stands, in OpenTelemetry's words."""

    DEVELOPMENT = "development"
    STABLE = "stable"


class MetricKind(StrEnum):
    """The instrument behind a metric.

    All but histograms are observable: the hot path bumps an int, the reader collects it.
    """

    COUNTER = "counter"
    UPDOWNCOUNTER = "updowncounter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


AttributeType = Literal["string", "int", "double", "boolean"]


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute key with its type and meaning; `values` closes the set of what it may hold."""

    key: str
    type: AttributeType
    meaning: str
    values: tuple[str, ...] = ()
    unit: str = ""
    is_prefix: bool = False
    stability: Stability = Stability.DEVELOPMENT


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: its attributes listed under `optional` appear only where they have a value."""

    name: str
    kind: MetricKind
    unit: str
    meaning: str
    attributes: tuple[Attribute, ...]
    optional: tuple[Attribute, ...] = ()
    buckets: tuple[float, ...] = ()
    stability: Stability = Stability.DEVELOPMENT


@dataclass(frozen=True, slots=True)
class Event:
    """A log record with an event name; it carries the trace context of what caused it."""

    name: str
    meaning: str
    attributes: tuple[Attribute, ...]
    optional: tuple[Attribute, ...] = ()
    stability: Stability = Stability.DEVELOPMENT


@dataclass(frozen=True, slots=True)
class Span:
    """A span; `name` is the fixed first word, followed by the policy's name."""

    name: str
    meaning: str
    attributes: tuple[Attribute, ...]
    optional: tuple[Attribute, ...] = ()
    stability: Stability = Stability.DEVELOPMENT
