"""A fork waits for what a child could not live with half done: a file that is locked, a module that is being imported."""

from __future__ import annotations

import os
import threading
from types import TracebackType
from typing import Final


class _Mine(threading.local):
    depth = 0
    """How often this thread is inside."""


class ForkGate:
    """Lets threads do something side by side, and a fork only while none of them does: `with gate: ...`.

    A thread that forks while it is inside itself does not wait for itself.

    Args:
        patience: seconds after which a fork waits no longer.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self.start_again_in_child()

    def __enter__(self) -> None:
        mine = self._mine
        with self._lock:
            # Who is inside already must not wait for a fork that waits for him.
            while self._forks and not mine.depth:
                self._changed.wait()
            self._inside += 1
        mine.depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._mine.depth -= 1
        with self._lock:
            self._inside -= 1
            if self._forks:
                self._changed.notify_all()

    def before_fork(self) -> None:
        """Keep threads out, and wait for those that are inside."""
        own = self._mine.depth
        with self._lock:
            self._forks += 1
            self._changed.wait_for(lambda: self._inside == own, self._patience)

    def after_fork_in_parent(self) -> None:
        """Let threads in again."""
        with self._lock:
            self._forks -= 1
            self._changed.notify_all()

    def start_again_in_child(self) -> None:
        """Forget the threads of the parent."""
        # Re-entrant: a garbage collection inside the lock may end something that goes through the gate.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._mine = _Mine()
        self._inside = 0
        self._forks = 0

    def stand_before_forks(self) -> None:
        """Have every fork of this process go through the gate from now on."""
        os.register_at_fork(
            before=self.before_fork,
            after_in_parent=self.after_fork_in_parent,
            after_in_child=self.start_again_in_child,
        )


IMPORTS: Final = ForkGate(patience=1.0)
"""Held where a thread of ours builds the client of a server: that imports its library, or finds it missing, under a lock of
the interpreter's that a child would inherit for good. What also asks a server may take longer than the patience."""

IMPORTS.stand_before_forks()
