"""A breaker of this process as one of those that share a state: what it has to tell, and what it takes over.

It always is a whole breaker of its own. Sharing means that its moves are told to the server, and that those of others
are taken over; without a server it goes on by itself.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from spanguard.error_handling.circuit_breaker.shared.script import UNKNOWN, View
from spanguard.instrumentation.pybreaker import State, StateChange

TakeOverReason = Literal["storage", "reset_timeout_elapsed", "success_threshold_reached"]


@dataclass(frozen=True, slots=True)
class Move:
    """What a breaker has to tell.

    Attributes:
        serial: how many moves the breaker had made by then.
        state: the state that it is in.
        open_for: seconds that it will stay open.
        epoch: the shared epoch in which it decided; empty if its word stands whatever others did meanwhile.
    """

    serial: int
    state: State
    open_for: float
    epoch: str


class Member(ABC):
    """Keeps in step what the breaker decides and what the server knows. `lock` guards all of it."""

    def __init__(self) -> None:
        self.epoch = UNKNOWN
        self._moves = 0
        self._told = 0
        self._is_forced = False

    @property
    @abstractmethod
    def lock(self) -> threading.RLock:
        """The lock around the breaker's state."""

    @property
    @abstractmethod
    def state(self) -> State:
        """The state of the breaker."""

    @abstractmethod
    def _open_for(self) -> float:
        """Return the seconds that the breaker will stay open."""

    @abstractmethod
    def _enter(self, view: View, reason: TakeOverReason) -> StateChange | None:
        """Enter the state of the view; called under the lock."""

    @abstractmethod
    def _entered(self, change: StateChange | None) -> None:
        """Tell of a state that was taken over; called without the lock."""

    def note_move(self, *, is_forced: bool = False) -> None:
        """Note that the breaker made a move, which is to be told; the caller holds the lock.

        Args:
            is_forced: whether it stands whatever others did meanwhile.
        """
        self._moves += 1
        self._is_forced |= is_forced

    def serial(self) -> int:
        """Return how many moves the breaker has made: what is asked now must not undo a later one."""
        with self.lock:
            return self._moves

    def news(self) -> Move | None:
        """Return what is to be told."""
        with self.lock:
            if self._told == self._moves:
                return None
            return Move(self._moves, self.state, self._open_for(), "" if self._is_forced else self.epoch)

    def told(self, move: Move, epoch: str) -> None:
        """Note that the server took the move, in this epoch."""
        with self.lock:
            self.epoch = epoch
            self._told = move.serial
            self._is_forced &= self._moves != move.serial

    def overruled(self, view: View, move: Move) -> None:
        """Take over what others did before the server heard of the move, unless the breaker has moved again since."""
        with self.lock:
            if self._moves == move.serial:
                self._told = move.serial
        self.meet(view, move.serial)

    def meet(self, view: View, serial: int, reason: TakeOverReason = "storage") -> None:
        """Take over what the server says, unless the breaker has moved since `serial`.

        A server that knows nothing, or less than this breaker, has lost it: a restart, a flush, a failover. A breaker
        that is not closed then says again what it is.
        """
        change = None
        with self.lock:
            if not self._moves == self._told == serial or view.epoch == self.epoch:
                return
            has_lost_it = int(view.epoch) < int(self.epoch)
            if has_lost_it and self.state != "closed":
                self.note_move(is_forced=True)
                return
            self.epoch = view.epoch
            self._told, self._is_forced = self._moves, False
            if view.state is not None:
                change = self._enter(view, reason)
        self._entered(change)


class PlainMember(Member):
    """The state that a breaker of pybreaker reads and writes: it has none of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()
        self._state: State = "closed"
        self.opened_at: datetime | None = None
        self.failures = 0
        self.successes = 0

    @property
    def lock(self) -> threading.RLock:
        """The lock around the state."""
        return self._lock

    @property
    def state(self) -> State:
        """The state as this process knows it."""
        return self._state

    def _open_for(self) -> float:
        # How long is the secret of each breaker: it looks at `opened_at`.
        return 0.0

    def _enter(self, view: View, reason: TakeOverReason) -> StateChange | None:  # noqa: ARG002 - pybreaker tells of its moves itself
        if view.state is not None:
            self._state = view.state
        if view.state == "open":
            self.opened_at = datetime.fromtimestamp(int(view.epoch) / 1e6, UTC)
        return None

    def _entered(self, change: StateChange | None) -> None:
        """Nobody listens here."""

    def move(self, target: State) -> None:
        """Enter a state because a breaker says so."""
        with self.lock:
            self._state = target
            self.note_move(is_forced=True)

    def start_again_in_child(self) -> None:
        """Take a lock that no thread of the parent holds."""
        self._lock = threading.RLock()
