"""No connection to SQLite is open while the process forks.

SQLite notes in the memory of the process which files are open and locked. A child inherits the notes but, as POSIX has
it, not the locks: a connection of its own to the same file would trust locks that nobody holds, and the next process
that takes itself for the last one deletes the log into which the child writes. SQLite's own mutexes, if another thread
holds one, stay locked in the child for ever. So a fork waits until no thread is inside SQLite, and closes what is open.
"""

from __future__ import annotations

import weakref
from typing import Final, Protocol

from spanguard import fork_gate
from spanguard.error_handling.dead_letter.engine import BUSY_TIMEOUT_MS


class HoldsConnections(Protocol):
    """What has to give back its connections before a fork."""

    def close_connections(self) -> None:
        """Close every connection; the next use opens new ones."""
        ...


class ForkGate(fork_gate.ForkGate):
    """Lets threads use SQLite side by side, and a fork only while none of them does and nothing is open."""

    def __init__(self) -> None:
        # Each of them ends: at the latest when SQLite has waited long enough for another writer.
        super().__init__(patience=BUSY_TIMEOUT_MS / 1000)
        self._holders: weakref.WeakSet[HoldsConnections] = weakref.WeakSet()

    def watch(self, holder: HoldsConnections) -> None:
        """Close its connections before each fork, for as long as it lives."""
        self._holders.add(holder)

    def before_fork(self) -> None:
        """Keep threads out, wait for those that are inside, and close what is open."""
        super().before_fork()
        for holder in list(self._holders):
            holder.close_connections()


FORK_GATE: Final = ForkGate()
FORK_GATE.stand_before_forks()
