"""What a limiter knows about itself, and how it comes to know: every request is counted once, by its result."""

from __future__ import annotations

from dataclasses import dataclass, field

from spanguard.instrumentation.limits.signals import FALLBACK, REJECTED, TIMED_OUT, LimiterSignals, Refusal
from spanguard.rate_limiter.status import RateLimitStatus
from spanguard.rate_limiter.wait_times import TimeInQueue, WaitTimes


@dataclass(frozen=True, slots=True)
class LimiterStats:
    """What a limiter did in this process.

    Attributes:
        acquired: requests that got their permit, at once or after waiting.
        rejected: requests that would not wait, or found no place in the line, and were turned away.
        timed_out: requests that would wait, but whose turn would have come after their timeout.
        waited: those of the acquired that had to wait.
        cancelled: requests that were cancelled while they waited; they used no permit.
        waiting: requests that wait now.
        line_full: those of the rejected that would have waited, but as many did already as may.
        fallback: those of the acquired that the local share admitted, as the shared storage did not answer.
        time_in_queue: how long those that had to wait stood in line.
    """

    acquired: int
    rejected: int
    timed_out: int
    waited: int
    cancelled: int
    waiting: int
    line_full: int = 0
    fallback: int = 0
    time_in_queue: TimeInQueue = field(default_factory=TimeInQueue)

    @property
    def block_rate(self) -> float:
        """The share of the decided requests that got no permit, from 0 to 1."""
        refused = self.rejected + self.timed_out
        return refused / (self.acquired + refused) if refused else 0.0


class Record:
    """The counts of one limiter, and what it tells of single requests.

    What counts is called under the limiter's lock; what tells is called without it.

    Attributes:
        signals: where all of it goes.
        acquired: the count that a decision of the short way bumps itself.
        cancelled: waits that were given up.
    """

    def __init__(self, policy: str, strategy: str) -> None:
        self.signals = LimiterSignals(policy, strategy)
        self.acquired = self.signals.acquired
        self._fallback = self.signals.cell(FALLBACK)
        self._refused = {REJECTED: self.signals.rejected, TIMED_OUT: self.signals.cell(TIMED_OUT)}
        self.start_again()

    def start_again(self) -> None:
        """Begin at zero, as a forked child does; what is exported goes on."""
        self._acquired_before = self.acquired.value + self._fallback.value
        self._fallback_before = self._fallback.value
        self._refused_before = {result: cell.value for result, cell in self._refused.items()}
        self._line_full = 0
        self.cancelled = 0
        self._waited = 0
        self._times = WaitTimes()

    def count_acquired(self, waited: float | None = None, *, fallback: bool = False) -> None:
        """Count a request that got its permits, after so many seconds if it had to wait, perhaps out of the local share."""
        (self._fallback if fallback else self.acquired).value += 1
        if waited is not None:
            self._waited += 1
            self._times.add(waited)

    def count_refused(self, result: Refusal, *, line_full: bool = False) -> None:
        """Count a request that got no permit."""
        self._refused[result].value += 1
        self._line_full += line_full

    def tell_refused(self, result: Refusal, tokens: int, status: RateLimitStatus, *, line_full: bool = False) -> None:
        """Emit why a request got no permit."""
        self.signals.refused(
            result, cost=tokens, limit=status.limit, retry_after=status.retry_after, line_full=line_full
        )

    def stats(self, waiting: int) -> LimiterStats:
        """Return all counts, with those who wait now."""
        since = {result: cell.value - self._refused_before[result] for result, cell in self._refused.items()}
        return LimiterStats(
            acquired=self.acquired.value + self._fallback.value - self._acquired_before,
            rejected=since[REJECTED],
            timed_out=since[TIMED_OUT],
            waited=self._waited,
            cancelled=self.cancelled,
            waiting=waiting,
            line_full=self._line_full,
            fallback=self._fallback.value - self._fallback_before,
            time_in_queue=self._times.summary(),
        )
