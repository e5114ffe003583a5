"""No connection to SQLite is open while the process forks.

SQLite notes in the memory of the process which files are open and locked. A child inherits the notes but, as POSIX has
it, not the locks: a connection of its own to the same file would trust locks that nobody holds, and the next process
that takes itself for the last one deletes the log into which the child writes. SQLite's own mutexes, if another thread
holds one, stay locked in the child for ever. So a fork waits until no thread is inside SQLite, and closes what is open.
"""

from __future__ import annotations

import os
import threading
import weakref
from types import TracebackType
from typing import Final, Protocol

from spanguard.error_handling.dead_letter.engine import BUSY_TIMEOUT_MS


class HoldsConnections(Protocol):
    """What has to give back its connections before a fork."""

    def close_connections(self) -> None:
        """Close every connection; the next use opens new ones."""
        ...


class _Mine(threading.local):
    depth = 0
    """How often this thread is inside."""


class ForkGate:
    """Lets threads use SQLite side by side, and a fork only while none of them does: `with gate: ...`."""

    def __init__(self) -> None:
        self._holders: weakref.WeakSet[HoldsConnections] = weakref.WeakSet()
        self.start_again_in_child()

    def watch(self, holder: HoldsConnections) -> None:
        """Close its connections before each fork, for as long as it lives."""
        self._holders.add(holder)

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
        """Keep threads out, wait for those that are inside, and close what is open."""
        own = self._mine.depth
        with self._lock:
            self._forks += 1
            # Each of them ends: at the latest when SQLite has waited long enough for another writer.
            self._changed.wait_for(lambda: self._inside == own, BUSY_TIMEOUT_MS / 1000)
        for holder in list(self._holders):
            holder.close_connections()

    def after_fork_in_parent(self) -> None:
        """Let threads in again."""
        with self._lock:
            self._forks -= 1
            self._changed.notify_all()

    def start_again_in_child(self) -> None:
        """Forget the threads of the parent."""
        # Re-entrant: a garbage collection inside the lock may close a call that stores a letter.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._mine = _Mine()
        self._inside = 0
        self._forks = 0


FORK_GATE: Final = ForkGate()

os.register_at_fork(
    before=FORK_GATE.before_fork,
    after_in_parent=FORK_GATE.after_fork_in_parent,
    after_in_child=FORK_GATE.start_again_in_child,
)
