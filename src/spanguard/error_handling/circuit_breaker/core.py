"""What every form of a guarded call asks of a breaker: a permit before it, a verdict after it, and the news of a move."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final

import pybreaker

from spanguard.clock import Clock
from spanguard.error_handling.circuit_breaker.errors import CircuitBreakerError
from spanguard.error_handling.circuit_breaker.machine import Machine, Permit
from spanguard.error_handling.circuit_breaker.settings import BreakerSettings
from spanguard.error_handling.circuit_breaker.shared import RedisBreakerStorage
from spanguard.error_handling.circuit_breaker.shared.breaker_share import BreakerShare
from spanguard.error_handling.circuit_breaker.shared.link import Lease, start_again_in_child
from spanguard.error_handling.circuit_breaker.stats import BreakerStats
from spanguard.error_handling.circuit_breaker.storage import PYBREAKER_STATES, STATES, StoredState
from spanguard.instrumentation.pybreaker import BreakerSignals, Outcome, State, StateChange
from spanguard.telemetry import error_type
from spanguard.telemetry.internal import safely

if TYPE_CHECKING:
    from spanguard.error_handling.circuit_breaker.breaker import CircuitBreaker

NOT_FAILURES: Final = (KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError)
"""What says something about the caller, and nothing about the dependency."""


class BreakerCore:
    """The one place where the lock is taken. It guards the machine and the counts: no call, listener or storage.

    Attributes:
        machine: the state.
        lock: what guards it.
        signals: what the breaker emits.
        now: seconds, by the clock of the machine.
        success: the count that the quick way through the breaker bumps.
    """

    def __init__(
        self,
        breaker: CircuitBreaker,
        settings: BreakerSettings,
        name: str | None,
        storage: pybreaker.CircuitBreakerStorage | None,
        clock: Clock,
    ) -> None:
        self._breaker = breaker
        self._clock = clock
        self._is_timed = settings.slow_call is not None
        is_shared = isinstance(storage, RedisBreakerStorage)
        self._stored = None if storage is None or is_shared else StoredState(storage, clock)
        self._writes_under_way = 0
        # Re-entrant: a garbage collection inside the lock may close a guarded generator, which reports its end.
        self.lock = threading.RLock()
        self.machine = Machine(settings, self._first_state(), clock.monotonic(), has_door=self._stored is None)
        self.now = clock.monotonic
        self.rename(name)
        self._recall_opening()
        _cores.add(self)
        self._share: BreakerShare | None = None

    def share(self, storage: RedisBreakerStorage) -> None:
        """Share the state from now on: the link's thread may move the machine, and tell of it, at once."""
        self._share = BreakerShare(self, storage)

    def _first_state(self) -> State:
        if self._stored is None:
            return "closed"
        name = self._stored.storage.state
        if name not in STATES:
            raise ValueError(f"Unknown state {name!r}, valid states: {', '.join(STATES)}")
        return STATES[name]

    def _recall_opening(self) -> None:
        read = self._stored.read() if self._stored is not None else None
        if read is not None and self.machine.state == "open":
            self.machine.opened_at -= read[1]

    def rename(self, name: str | None) -> None:
        """Emit under this name from now on."""
        self.signals = BreakerSignals(name, self, _state_of)
        self.success = self.signals.success

    # --- a call's way ----------------------------------------------------------------------------------------------

    def admit(self) -> Permit:
        """Return the permit for one call.

        Raises:
            CircuitBreakerError: there is none.
        """
        door = self.machine.door
        if door is not None:
            return door
        self.adopt()
        return self._admit(self._share.ask() if self._share is not None else None)

    async def admit_async(self) -> Permit:
        """Return the permit for one call, without blocking the event loop where other processes have a say.

        Raises:
            CircuitBreakerError: there is none.
        """
        if self._share is None or self.machine.door is not None:
            return self.admit()
        return self._admit(await self._share.ask_async())

    def _admit(self, lease: Lease | None) -> Permit:
        now = self._clock.monotonic()
        change = None
        with self.lock:
            permit = None
            if lease is None or lease.is_granted or self.machine.state == "closed":
                permit, change = self.machine.admit(now)
                self._expect_write(change)
            if permit is None:
                self.signals.rejected.value += 1
                refusal = self._error(now)
        if self._share is not None:
            self._share.bind(lease, permit)
        self.announce(change)
        if permit is None:
            raise refusal
        return permit

    def start_of_call(self) -> float | None:
        """Return the present time where it matters how long a call takes."""
        return self._clock.monotonic() if self._is_timed else None

    def settle_success(self, permit: Permit, started: float | None) -> Outcome:
        """Take in that a call succeeded; return what the breaker makes of it."""
        with self.lock:
            is_plain = permit is self.machine.door
            if is_plain:
                self.machine.failures = 0
                self.success.value += 1
        if not is_plain:
            return self._settle_well(permit, started, None)
        self.tell("success")
        return "success"

    def settle_error(
        self, permit: Permit, started: float | None, error: BaseException
    ) -> tuple[Outcome, CircuitBreakerError | None]:
        """Take in what a call raised; return what the breaker makes of it, and what to raise in its place if it opened."""
        if isinstance(error, NOT_FAILURES):
            with self.lock:
                self.machine.release(permit)
                self.signals.cell("ignored", error_type(error)).value += 1
            self._end(permit, None, succeeded=False)
            return "ignored", None
        if not self._is_failure(error):
            return self._settle_well(permit, started, error), None
        counted = self._stored.count_failure() if self._stored is not None and self._is_current(permit) else None
        now = self._clock.monotonic()
        trip = None
        with self.lock:
            change = self.machine.fail(permit, now, error, slow=self._was_slow(started, now), failures=counted)
            self._expect_write(change)
            self.signals.cell("failure", error_type(error)).value += 1
            if change is not None and self._breaker._throw_new_error_on_trip:  # noqa: SLF001 - pybreaker has no getter
                trip = self._error(now, was_called=True)
        self._end(permit, change, succeeded=False)
        self.tell("failure", error)
        self.announce(change)
        return "failure", trip

    def _settle_well(self, permit: Permit, started: float | None, excluded: BaseException | None) -> Outcome:
        """An excluded error is an answer too: as in pybreaker, the dependency did its part."""
        counted = None
        if self._stored is not None and self._is_current(permit):
            counted = self._stored.count_success(permit.state)
        now = self._clock.monotonic()
        slow = self._was_slow(started, now)
        outcome: Outcome = "ignored" if excluded is not None else "slow" if slow else "success"
        with self.lock:
            change = self.machine.succeed(permit, now, slow=slow, successes=counted)
            self._expect_write(change)
            self.signals.cell(outcome, None if excluded is None else error_type(excluded)).value += 1
        self._end(permit, change, succeeded=True)
        self.announce(change)
        self.tell("success")
        return outcome

    def _end(self, permit: Permit, change: StateChange | None, *, succeeded: bool) -> None:
        if self._share is not None:
            self._share.end(permit, change, succeeded=succeeded)

    def _is_failure(self, error: BaseException) -> bool:
        with safely("circuit_breaker.exclude"):
            return self._breaker.is_system_error(error)
        return True

    def _is_current(self, permit: Permit) -> bool:
        with self.lock:
            return self.machine.is_current(permit)

    def _was_slow(self, started: float | None, now: float) -> bool:
        slow_call = self.machine.slow_call
        return slow_call is not None and started is not None and now - started >= slow_call.duration

    def _error(self, now: float, *, was_called: bool = False) -> CircuitBreakerError:
        machine = self.machine
        return CircuitBreakerError(
            self._breaker.name,
            machine.state,
            machine.retry_after(now),
            was_called=was_called,
            last_error=machine.last_error,
        )

    # --- moves -----------------------------------------------------------------------------------------------------

    def move(self, target: State) -> None:
        """Enter a state because somebody asked for it."""
        self.adopt()
        with self.lock:
            change = self.machine.move(target, "manual", self._clock.monotonic())
            self._expect_write(change)
            if self._share is not None:
                # What somebody asked for stands, whatever other processes did.
                self._share.note_move(is_forced=True)
        if self._share is not None:
            self._share.wake()
        if change is None and target == "open" and self._stored is not None:
            self._stored.note_opened()
        self.announce(change)

    def adopt(self) -> None:
        """Take over the state that the storage has, if this breaker keeps its state in one."""
        stored = self._stored
        if stored is None:
            return
        with self.lock:
            generation, is_writing = self.machine.generation, self._writes_under_way > 0
        read = None if is_writing else stored.read()
        if read is None:
            return
        state, open_for = read
        with self.lock:
            # What was read is older than a move that this breaker has made since.
            if self._writes_under_way or generation != self.machine.generation:
                return
            now = self._clock.monotonic()
            change = self.machine.move(state, "storage", now)
            if state == "open":
                self.machine.opened_at = now - open_for
        self.announce(change, is_stored=True)

    def _expect_write(self, change: StateChange | None) -> None:
        if change is None:
            return
        if self._stored is not None:
            self._writes_under_way += 1
        if self._share is not None:
            self._share.note_move()

    def announce(self, change: StateChange | None, *, is_stored: bool = False) -> None:
        """Tell everybody of a move, and the storage too unless it has told of the move itself."""
        if change is None:
            return
        if self._share is not None and not is_stored:
            self._share.wake()
        if self._stored is not None and not is_stored:
            self._stored.write(change)
            with self.lock:
                self._writes_under_way -= 1
        self.signals.moved(change)
        if self._breaker.listeners:
            self.tell("state_change", self._state_object(change.source), self._state_object(change.target))

    def _state_object(self, state: State) -> Any:
        return self._breaker._create_new_state(PYBREAKER_STATES[state])  # noqa: SLF001 - what its listeners expect

    def tell(self, hook: str, *args: Any, **kwargs: Any) -> None:
        """Call a hook of every listener; what they raise is kept from the call."""
        listeners = self._breaker._listeners  # noqa: SLF001 - the property makes a tuple, also of none
        for listener in tuple(listeners) if listeners else ():
            with safely("circuit_breaker.listener"):
                getattr(listener, hook)(self._breaker, *args, **kwargs)

    def reconfigure(self, settings: BreakerSettings) -> None:
        """Go by other settings from now on."""
        with self.lock:
            self._is_timed = settings.slow_call is not None
            self.machine.reconfigure(settings)

    # --- looks -----------------------------------------------------------------------------------------------------

    def fail_counter(self) -> int:
        """Return the failed calls in a row."""
        return self.machine.failures if self._stored is None else self._stored.storage.counter

    def success_counter(self) -> int:
        """Return the probes that succeeded since the breaker is half-open."""
        return self.machine.successes if self._stored is None else self._stored.storage.success_counter

    def stats(self) -> BreakerStats:
        """Return what is known now."""
        self.adopt()
        now = self._clock.monotonic()
        with self.lock:
            machine, signals = self.machine, self.signals
            if machine.window is not None:
                machine.window.expire(now)
            return BreakerStats(
                name=self._breaker.name,
                state=machine.state,
                consecutive_failures=machine.failures,
                successful_probes=machine.successes,
                probes_under_way=len(machine.probes),
                window_calls=machine.window.calls if machine.window is not None else 0,
                window_failures=machine.window.failures if machine.window is not None else 0,
                window_slow_calls=machine.window.slow if machine.window is not None else 0,
                retry_after=machine.retry_after(now),
                last_error_type=error_type(machine.last_error) if machine.last_error is not None else None,
                success=signals.total("success"),
                failure=signals.total("failure"),
                slow=signals.total("slow"),
                ignored=signals.total("ignored"),
                rejected=signals.total("rejected"),
            )

    def start_again_in_child(self) -> None:
        """Drop what other threads of the parent held: they do not exist here."""
        self.lock = threading.RLock()
        self._breaker._lock = threading.RLock()  # noqa: SLF001 - pybreaker's own, around its list of listeners
        self._writes_under_way = 0
        self.machine.keep_probes_of(threading.get_ident())


def _state_of(core: BreakerCore) -> State:
    return core.machine.state


_cores: weakref.WeakSet[BreakerCore] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for core in list(_cores):
        core.start_again_in_child()
    # Their threads take the locks of the cores.
    start_again_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
