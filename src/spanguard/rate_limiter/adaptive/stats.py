"""What an adaptive limiter knows about itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AdaptiveStats:
    """One moment of an adaptive limiter; plain values.

    Attributes:
        name: the limiter's name.
        limit: calls that may run at once now.
        running: calls that run now.
        queued: calls that wait now.
        latency: the mean seconds of the last window; None before the first.
        baseline: the seconds that it was held against; None if there is no such thing yet.
        admitted: calls that got a permit, since the limiter was built.
        rejected: calls that found no place in the queue.
        timed_out: calls that waited in vain.
        cancelled: calls that went away while they waited.
        dropped: calls that ran and were dropped.
    """

    name: str
    limit: int
    running: int
    queued: int
    latency: float | None
    baseline: float | None
    admitted: int
    rejected: int
    timed_out: int
    cancelled: int
    dropped: int
