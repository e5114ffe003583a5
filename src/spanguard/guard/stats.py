"""What a guard knows about itself."""

from __future__ import annotations

from dataclasses import dataclass

from spanguard.error_handling import BreakerStats, BulkheadStats, DegradationStats, RetryStats, TimeoutStats
from spanguard.rate_limiter import LimiterStats


@dataclass(frozen=True, slots=True)
class GuardStats:
    """One moment of a guard; plain values. A policy that it does not have is None.

    Attributes:
        name: the guard's name.
        deadline: the time of the whole call, and how many calls kept to it.
        rate_limiter: of the limiter, which other guards may share; the same goes for those below.
        bulkhead: of the bulkhead.
        retry: of all retries of that name.
        circuit_breaker: of the breaker.
        timeout: of the time of one attempt.
        fallback: of what stands in.
        dead_letter: the name of the queue; its size is in the database, so ask it.
    """

    name: str
    deadline: TimeoutStats | None = None
    rate_limiter: LimiterStats | None = None
    bulkhead: BulkheadStats | None = None
    retry: RetryStats | None = None
    circuit_breaker: BreakerStats | None = None
    timeout: TimeoutStats | None = None
    fallback: DegradationStats | None = None
    dead_letter: str | None = None
