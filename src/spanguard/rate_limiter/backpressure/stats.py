"""What a bounded queue knows about itself, and what it tells of a change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spanguard.semconv import PressureReason, ShedReason


@dataclass(frozen=True, slots=True)
class BackpressureStats:
    """One moment of a queue; plain values, since it was built or this process was forked.

    Every item that was offered is in one of these: accepted, rejected, timed out, cancelled, closed, or shed on arrival. Every item
    that was accepted was taken, shed or drained, or is in the queue.

    Attributes:
        name: the queue's name.
        limit: items that it can hold.
        depth: items in it now.
        under_pressure: whether the depth reached the high watermark, or items stayed too long, and it is not over yet.
        oldest_age: seconds that the oldest item has been in it; 0.0 if it is empty.
        accepted: items that it took.
        rejected: items for which there was no place and whose producer was not to wait.
        timed_out: items whose producer waited in vain.
        cancelled: items whose producer went away while it waited.
        closed: items that came after it was closed.
        shed_on_arrival: items that were dropped instead of being accepted; they are also among `shed`.
        taken: items that consumers took.
        shed: items that were dropped, by reason.
        drained: items that `drain` gave back.
        producers: producers that wait for a place now.
        consumers: consumers that wait for an item now.
    """

    name: str
    limit: int
    depth: int
    under_pressure: bool
    oldest_age: float
    accepted: int
    rejected: int
    timed_out: int
    cancelled: int
    closed: int
    shed_on_arrival: int
    taken: int
    shed: Mapping[ShedReason, int]
    drained: int
    producers: int
    consumers: int


@dataclass(frozen=True, slots=True)
class PressureChange:
    """Pressure began or ended.

    Attributes:
        under_pressure: whether there is pressure from now on.
        reason: `high_watermark` or `sojourn` if it began, `relieved` or `drained` if it ended.
        depth: items in the queue at that moment.
        limit: items that the queue can hold.
        oldest_age: seconds that the oldest item had been in the queue.
        duration: seconds that the pressure lasted, if it ended.
        shed: items that were dropped meanwhile, if it ended.
    """

    under_pressure: bool
    reason: PressureReason
    depth: int
    limit: int
    oldest_age: float
    duration: float = 0.0
    shed: int = 0
