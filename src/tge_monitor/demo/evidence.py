"""What the demonstration looks for, whoever is asked: the receiver in this process or the servers of the stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

BREAKER: Final = "twitter_api"
ALERT: Final = "DependencyUnavailable"


@dataclass(frozen=True, slots=True)
class Transition:
    """A state change of the breaker, as its event tells it; `source` is where it can be read again."""

    to: str
    reason: str
    attributes: Mapping[str, Any]
    trace_id: str
    source: str


@dataclass(frozen=True, slots=True)
class SpanNode:
    """One span of a trace; times in nanoseconds since the Unix epoch."""

    name: str
    span_id: str
    parent_id: str
    start: int
    end: int
    is_error: bool
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trace:
    """All spans of a trace that have arrived."""

    trace_id: str
    spans: tuple[SpanNode, ...]
    source: str


@dataclass(frozen=True, slots=True)
class StandingAlert:
    """The alert while it fires."""

    severity: str
    summary: str
    trace_id: str
    source: str


@dataclass(frozen=True, slots=True)
class Reading:
    """The value of a metric."""

    value: float
    source: str


class Observer(Protocol):
    """Looks at what has arrived; every method answers at once, None or an empty value where there is nothing yet."""

    def first_guarded_call(self) -> Trace | None:
        """A trace with a guard span in it."""
        ...

    def transition(self, to: str) -> Transition | None:
        """The latest change of the breaker to this state."""
        ...

    def trace(self, trace_id: str) -> Trace | None:
        """A trace by its id, once its root span has arrived."""
        ...

    def rejected_calls(self) -> Reading | None:
        """How many calls the open breaker refused, once there are any."""
        ...

    def alert(self) -> StandingAlert | None:
        """The application's alert, while it fires."""
        ...

    def alert_is_resolved(self) -> Reading | None:
        """Where it can be read that the alert is over."""
        ...
