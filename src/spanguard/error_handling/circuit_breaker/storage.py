"""A breaker's state in one of pybreaker's storages, which may be shared with other breakers or processes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import pybreaker

from spanguard.clock import Clock
from spanguard.instrumentation.pybreaker import State, StateChange
from spanguard.telemetry.internal import safely

COMPONENT: Final = "circuit_breaker.storage"

PYBREAKER_STATES: Final[dict[State, str]] = {
    "closed": pybreaker.STATE_CLOSED,
    "open": pybreaker.STATE_OPEN,
    "half_open": pybreaker.STATE_HALF_OPEN,
}
STATES: Final = {theirs: ours for ours, theirs in PYBREAKER_STATES.items()}


class StoredState:
    """Reads and writes one storage. A storage that raises is left alone: the breaker goes on by what it knows itself.

    Everything here may be I/O, so nobody calls it while holding a lock.
    """

    def __init__(self, storage: pybreaker.CircuitBreakerStorage, clock: Clock) -> None:
        self.storage = storage
        self._clock = clock

    def read(self) -> tuple[State, float] | None:
        """Return the state, and for how many seconds it has been open (for ever if nobody noted when it opened)."""
        with safely(COMPONENT):
            state = STATES[self.storage.state]
            opened_at = self.storage.opened_at if state == "open" else None
            if opened_at is None:
                return state, float("inf")
            # Another machine's clock may be ahead of ours: what opens in the future opens now.
            return state, max(0.0, self._clock.time() - opened_at.timestamp())
        return None

    def count_failure(self) -> int | None:
        """Count a failure; return how many there are in a row, None if that is not known."""
        with safely(COMPONENT):
            self.storage.increment_counter()
            return self.storage.counter
        return None

    def count_success(self, state: State) -> int | None:
        """Count a success; return how many probes have succeeded, None if that is not known or it was none."""
        with safely(COMPONENT):
            self.storage.reset_counter()
            if state == "half_open":
                self.storage.increment_success_counter()
                return self.storage.success_counter
        return None

    def write(self, change: StateChange) -> None:
        """Store a move that this breaker made, with the counters as pybreaker resets them."""
        with safely(COMPONENT):
            if change.target == "open":
                self.note_opened()
            self.storage.reset_success_counter()
            self.storage.state = PYBREAKER_STATES[change.target]
            if change.target == "closed":
                self.storage.reset_counter()

    def note_opened(self) -> None:
        """Store that the reset timeout begins now."""
        with safely(COMPONENT):
            self.storage.opened_at = datetime.fromtimestamp(self._clock.time(), UTC)
