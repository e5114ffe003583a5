"""How a breaker shares its state: the part of its core that knows of a server."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from spanguard.error_handling.circuit_breaker.machine import Permit
from spanguard.error_handling.circuit_breaker.shared.link import Lease
from spanguard.error_handling.circuit_breaker.shared.member import TakeOverReason
from spanguard.error_handling.circuit_breaker.shared.redis_storage import ProbingMember, RedisBreakerStorage
from spanguard.error_handling.circuit_breaker.shared.script import View
from spanguard.instrumentation.pybreaker import State, StateChange

if TYPE_CHECKING:
    from spanguard.error_handling.circuit_breaker.core import BreakerCore


class BreakerShare(ProbingMember):
    """The state of one core, as the storage sees it."""

    def __init__(self, core: BreakerCore, storage: RedisBreakerStorage) -> None:
        super().__init__()
        self._core = core
        self._storage = storage
        storage.attach(self)

    # --- a call's way ----------------------------------------------------------------------------------------------

    def ask(self) -> Lease | None:
        """Ask for a permit if the next call would be a probe; None if it would not, or if nobody answers."""
        return self._storage.ask() if self._is_wanted() else None

    async def ask_async(self) -> Lease | None:
        """Ask as `ask` does, without blocking the event loop."""
        return await self._storage.ask_async() if self._is_wanted() else None

    def _is_wanted(self) -> bool:
        core = self._core
        with core.lock:
            return core.machine.would_probe(core.now())

    def bind(self, lease: Lease | None, permit: Permit | None) -> None:
        """Let the probe have its lease; give it back if the call is none, or is refused here."""
        if lease is None or not lease.is_granted:
            return
        if permit is not None and permit.state == "half_open":
            permit.lease = lease
        else:
            self._storage.give_back(lease)

    def end(self, permit: Permit, change: StateChange | None, *, succeeded: bool) -> None:
        """Take in that a call ended; what it moved is told anyway, and takes its lease away."""
        lease, permit.lease = permit.lease, None
        if lease is not None and change is None:
            self._storage.end_probe(lease, succeeded=succeeded)

    def wake(self) -> None:
        """Have the moves told."""
        self._storage.link.wake()

    # --- the storage's side ----------------------------------------------------------------------------------------

    @property
    def lock(self) -> threading.RLock:
        """The lock of the core."""
        return self._core.lock

    @property
    def state(self) -> State:
        """The state of the machine."""
        return self._core.machine.state

    @property
    def half_open_max_calls(self) -> int:
        """Probes under way at once."""
        return self._core.machine.half_open_max_calls

    @property
    def success_threshold(self) -> int:
        """Successful probes that close it."""
        return self._core.machine.success_threshold

    @property
    def probe_lease(self) -> float:
        """Seconds after which a probe that has not ended loses its permit."""
        return self._core.machine.probe_lease

    @property
    def reset_timeout(self) -> float:
        """Seconds that it stays open."""
        return self._core.machine.reset_timeout

    def _open_for(self) -> float:
        return self._core.machine.retry_after(self._core.now())

    def _enter(self, view: View, reason: TakeOverReason) -> StateChange | None:
        machine, now = self._core.machine, self._core.now()
        state = view.state or "closed"
        change = None
        if machine.state == state:
            machine.begin_again(now)
        else:
            change = machine.move(state, reason, now)
        if state == "open":
            machine.opened_at = now + view.open_for - machine.reset_timeout
        return change

    def _entered(self, change: StateChange | None) -> None:
        self._core.announce(change, is_stored=True)
