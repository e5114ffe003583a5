"""What a circuit breaker knows about itself."""

from __future__ import annotations

from dataclasses import dataclass

from spanguard.instrumentation.pybreaker import State


@dataclass(frozen=True, slots=True)
class BreakerStats:
    """One moment of a breaker; plain values.

    Attributes:
        name: the breaker's name.
        state: "closed", "open" or "half_open".
        consecutive_failures: failed calls in a row.
        successful_probes: probes that succeeded since it is half-open.
        probes_under_way: probes that have begun and not ended.
        window_calls: calls in the window; 0 without one, as the next two.
        window_failures: failed calls in the window.
        window_slow_calls: slow calls in the window.
        retry_after: seconds that it will stay open.
        last_error_type: the class of the last failure since it was closed.
        success: calls that succeeded in time, since the breaker was built or named.
        failure: calls that failed.
        slow: calls that succeeded and were slow.
        ignored: calls that raised an excluded error or were cancelled.
        rejected: calls that were refused.
    """

    name: str | None
    state: State
    consecutive_failures: int
    successful_probes: int
    probes_under_way: int
    window_calls: int
    window_failures: int
    window_slow_calls: int
    retry_after: float
    last_error_type: str | None
    success: int
    failure: int
    slow: int
    ignored: int
    rejected: int
