"""A dead letter, and what became of a replay."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class LetterState(StrEnum):
    """Where a letter stands. A letter that was replayed is gone from the queue."""

    WAITING = "waiting"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One operation that failed for good, with all that is needed to try it again.

    Attributes:
        id: unique in the database, ascending, never given twice.
        queue: the queue's name.
        operation: what failed; the handler registered under this name replays it.
        payload: what the operation needs, as JSON values; secret-looking entries read "[REDACTED]".
        error_type: the class of the error, None if the letter was added without one.
        error_message: its text, redacted and cut; only in queues that keep messages.
        attempts: how often the operation was tried before it was given up.
        trace_id: the trace that failed, 32 hex digits; empty if it failed outside a trace.
        span_id: the span that failed, 16 hex digits.
        state: waiting or discarded.
        stored_at: seconds since the Unix epoch.
        replays: replays begun so far.
        available_at: when the next replay is due, in seconds since the Unix epoch.
        leased_until: until when a replayer holds it; None if none does.
        replay_error_type: the class of the error that ended the last replay.
    """

    id: int
    queue: str
    operation: str
    payload: Any = field(repr=False)
    error_type: str | None
    error_message: str | None = field(repr=False)
    attempts: int
    trace_id: str
    span_id: str
    state: LetterState
    stored_at: float
    replays: int
    available_at: float
    leased_until: float | None
    replay_error_type: str | None


class ReplayOutcome(StrEnum):
    """How one replay ended."""

    REPLAYED = "replayed"
    FAILED = "failed"
    DISCARDED = "discarded"
    RUNNING = "running"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What one call of `replay` did, in letters.

    Attributes:
        replayed: the handler succeeded; the letter is gone.
        failed: the handler failed; the letter waits for its next replay.
        discarded: the handler failed, and `max_replays` is reached.
        running: the handler still ran at `handler_timeout`; the letter stays leased until it ends.
        lost: the lease was lost, so another replayer's outcome counts.
        unhandled: due, but no handler is registered for their operation; they stay.
    """

    replayed: int = 0
    failed: int = 0
    discarded: int = 0
    running: int = 0
    lost: int = 0
    unhandled: int = 0
