"""The state machine of a circuit breaker: pure state. Its owner holds a lock around every method, and tells the time.

Each entry into a state begins a new generation, and what a call of an earlier generation reports changes nothing:
a call that began before the breaker opened says nothing about the dependency after it closed again.
"""

from __future__ import annotations

from threading import get_ident

from spanguard.error_handling.circuit_breaker.settings import BreakerSettings
from spanguard.error_handling.circuit_breaker.shared.link import Lease
from spanguard.error_handling.circuit_breaker.windows import SlidingWindow, carried_over, new_window
from spanguard.instrumentation.pybreaker import Reason, State, StateChange
from spanguard.telemetry import error_type


class Permit:
    """The right to make one call. While the breaker is closed without windows, all calls share one.

    Attributes:
        lease: what other processes know this probe by, if they share the breaker.
    """

    __slots__ = ("generation", "lease", "lease_end", "state", "thread")

    def __init__(self, generation: int, state: State, lease_end: float = 0.0) -> None:
        self.generation = generation
        self.state = state
        self.lease_end = lease_end
        self.lease: Lease | None = None
        self.thread = get_ident()


class Machine:
    """Closed, open, half-open, after Michael T. Nygard's "Release It!".

    Attributes:
        door: the shared permit of a closed breaker whose owner may use it without asking; None whenever `admit`
            must be asked.
        failures: failed calls in a row.
        successes: probes that succeeded since the breaker is half-open.
        last_error: the error of the last failure, until the breaker closes.
    """

    def __init__(self, settings: BreakerSettings, state: State, now: float, *, has_door: bool) -> None:
        self._may_have_door = has_door
        self._apply(settings)
        self.failures = 0
        self.successes = 0
        self.generation = 0
        self.last_error: BaseException | None = None
        self._enter(state, now)

    def _apply(self, settings: BreakerSettings) -> None:
        self.fail_max = settings.fail_max
        self.reset_timeout = settings.reset_timeout
        self.success_threshold = settings.success_threshold
        self.half_open_max_calls = settings.half_open_max_calls
        self.probe_lease = settings.probe_lease
        self.failure_rate = settings.failure_rate
        self.slow_call = settings.slow_call
        self._window_settings = settings.effective_window
        self._has_door = self._may_have_door and self._window_settings is None

    def _enter(self, state: State, now: float) -> None:
        self.state: State = state
        self.generation += 1
        self.probes: set[Permit] = set()
        self.opened_at = now
        self.successes = 0
        self.door = Permit(self.generation, "closed") if state == "closed" and self._has_door else None
        self.window: SlidingWindow | None = None
        if state == "closed":
            self.failures = 0
            self.last_error = None
            if self._window_settings is not None:
                self.window = new_window(self._window_settings)

    def reconfigure(self, settings: BreakerSettings) -> None:
        """Go by other settings from now on; the state, what was counted and who is under way stay."""
        former = self._window_settings
        self._apply(settings)
        if self.state != "closed":
            return
        if self._window_settings is None:
            self.window = None
        elif self._window_settings != former:
            self.window = carried_over(self.window, self._window_settings)
        if not self._has_door:
            self.door = None
        elif self.door is None:
            self.door = Permit(self.generation, "closed")

    def begin_again(self, now: float) -> None:
        """Enter the present state anew: it was left and entered elsewhere."""
        self._enter(self.state, now)

    def would_probe(self, now: float) -> bool:
        """Tell whether `admit` would let a call through now that is a probe."""
        if self.state == "closed" or self.retry_after(now) > 0:
            return False
        return self.state == "open" or sum(probe.lease_end > now for probe in self.probes) < self.half_open_max_calls

    def admit(self, now: float) -> tuple[Permit | None, StateChange | None]:
        """Return the permit for a call that would begin now, None if it is refused; and the move that this made."""
        change = None
        if self.state == "closed":
            return self.door or Permit(self.generation, "closed"), None
        if self.state == "open":
            if self.retry_after(now) > 0:
                return None, None
            change = self.move("half_open", "reset_timeout_elapsed", now)
        if len(self.probes) >= self.half_open_max_calls:
            self.probes = {probe for probe in self.probes if probe.lease_end > now}
            if len(self.probes) >= self.half_open_max_calls:
                return None, change
        permit = Permit(self.generation, "half_open", now + self.probe_lease)
        self.probes.add(permit)
        return permit, change

    def succeed(
        self, permit: Permit, now: float, *, slow: bool = False, successes: int | None = None
    ) -> StateChange | None:
        """Take in that a call succeeded. `successes` is what shared storage has counted, if there is any."""
        if not self.is_current(permit):
            return None
        self.failures = 0
        if self.state == "closed":
            return self._note_in_window(now, failed=False, slow=slow)
        self.probes.discard(permit)
        if slow:
            return self._open("probe_slow", now)
        self.successes = self.successes + 1 if successes is None else successes
        if self.successes >= self.success_threshold:
            reached = self.successes
            return self.move(
                "closed",
                "success_threshold_reached",
                now,
                successes=reached,
                threshold=float(self.success_threshold),
            )
        return None

    def fail(
        self, permit: Permit, now: float, error: BaseException, *, slow: bool = False, failures: int | None = None
    ) -> StateChange | None:
        """Take in that a call failed. `failures` is what shared storage has counted, if there is any."""
        if not self.is_current(permit):
            return None
        self.failures = self.failures + 1 if failures is None else failures
        self.last_error = error
        if self.state == "half_open":
            self.probes.discard(permit)
            return self._open("probe_failed", now, failures=self.failures)
        if self.fail_max is not None and self.failures >= self.fail_max:
            return self._open("consecutive_failures", now, failures=self.failures, threshold=float(self.fail_max))
        return self._note_in_window(now, failed=True, slow=slow)

    def release(self, permit: Permit) -> None:
        """Take back a permit whose call says nothing about the dependency: it was cancelled or never made."""
        self.probes.discard(permit)

    def is_current(self, permit: Permit) -> bool:
        """Tell whether the outcome of this permit's call still counts: not after a move, nor for a lost probe."""
        if permit.generation != self.generation:
            return False
        return self.state == "closed" or permit in self.probes

    def retry_after(self, now: float) -> float:
        """Return how many seconds the breaker will stay open; 0 if it is not open, or would let a probe through."""
        if self.state != "open":
            return 0.0
        return max(0.0, self.opened_at + self.reset_timeout - now)

    def move(
        self,
        target: State,
        reason: Reason,
        now: float,
        *,
        failures: int | None = None,
        successes: int | None = None,
        threshold: float | None = None,
    ) -> StateChange | None:
        """Enter a state; to be opened again restarts the reset timeout, but is no move."""
        source = self.state
        if source == target:
            if target == "open":
                self.opened_at = now
            return None
        last_error, window = self.last_error, self.window
        self._enter(target, now)
        if reason not in ("failure_rate", "slow_call_rate"):
            window = None
        return StateChange(
            source,
            target,
            reason,
            failures=window.failures if window is not None else failures,
            window_calls=window.calls if window is not None else None,
            window_slow_calls=window.slow if window is not None else None,
            successes=successes,
            threshold=threshold,
            retry_after=self.reset_timeout if target == "open" else None,
            error_type=error_type(last_error) if target == "open" and last_error is not None else None,
        )

    def _open(
        self, reason: Reason, now: float, *, failures: int | None = None, threshold: float | None = None
    ) -> StateChange | None:
        return self.move("open", reason, now, failures=failures, threshold=threshold)

    def _note_in_window(self, now: float, *, failed: bool, slow: bool) -> StateChange | None:
        window = self.window
        if window is None:
            return None
        window.add(now, failed=failed, slow=slow)
        failure_rate, slow_call = self.failure_rate, self.slow_call
        if (
            failure_rate is not None
            and window.calls >= failure_rate.minimum_calls
            and window.failures >= failure_rate.threshold * window.calls
        ):
            return self._open("failure_rate", now, threshold=failure_rate.threshold)
        if (
            slow_call is not None
            and window.calls >= slow_call.minimum_calls
            and window.slow >= slow_call.rate * window.calls
        ):
            return self._open("slow_call_rate", now, threshold=slow_call.rate)
        return None

    def keep_probes_of(self, thread: int) -> None:
        """Forget the probes of all other threads: after fork they do not exist."""
        self.probes = {probe for probe in self.probes if probe.thread == thread}
