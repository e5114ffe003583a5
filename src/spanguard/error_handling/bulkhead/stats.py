"""What a bulkhead knows about itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BulkheadStats:
    """One moment of a bulkhead; plain values.

    Attributes:
        name: the bulkhead's name.
        limit: calls that may run at once.
        running: calls that run now.
        queued: calls that wait now.
        admitted: calls that got a permit, at once or after waiting, since the bulkhead was built.
        rejected: calls that found no place in the queue.
        timed_out: calls that waited in vain.
        cancelled: calls that went away while they waited.
    """

    name: str
    limit: int
    running: int
    queued: int
    admitted: int
    rejected: int
    timed_out: int
    cancelled: int
