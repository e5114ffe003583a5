"""The breaker against a model that is as plain as its documentation."""

from __future__ import annotations

from contextvars import copy_context
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from spanguard.error_handling import CircuitBreaker, CircuitBreakerError
from spanguard.testing import FakeClock

RESET_TIMEOUT = 10
LEASE = 25


class BreakerAgainstModel(RuleBasedStateMachine):
    """Calls begin, end and get lost in any order, while time passes and somebody moves the breaker by hand."""

    @initialize(fail_max=st.integers(1, 4), threshold=st.integers(1, 3), cap=st.integers(1, 3))
    def build(self, fail_max: int, threshold: int, cap: int) -> None:
        self.clock = FakeClock()
        self.breaker = CircuitBreaker(
            fail_max,
            RESET_TIMEOUT,
            threshold,
            half_open_max_calls=cap,
            probe_lease=LEASE,
            clock=self.clock,
        )
        self.fail_max, self.threshold, self.cap = fail_max, threshold, cap
        self.state, self.era, self.failures, self.successes, self.opened_at = "closed", 0, 0, 0, 0.0
        self.slots: dict[int, float] = {}
        self.calls: dict[int, tuple[Any, int]] = {}
        self.serial = 0

    def enter(self, state: str) -> None:
        self.state, self.era = state, self.era + 1
        self.slots, self.successes = {}, 0
        if state == "closed":
            self.failures = 0
        if state == "open":
            self.opened_at = self.clock.monotonic()

    def admits(self) -> bool:
        now = self.clock.monotonic()
        if self.state == "open" and now - self.opened_at >= RESET_TIMEOUT:
            self.enter("half_open")
        if self.state == "half_open" and len(self.slots) >= self.cap:
            self.slots = {serial: end for serial, end in self.slots.items() if end > now}
        return self.state == "closed" or (self.state == "half_open" and len(self.slots) < self.cap)

    @rule()
    def begin(self) -> None:
        expected = self.admits()
        call = self.breaker.calling()
        try:
            # In a context of its own, as another task would: calls end in any order, and some never.
            copy_context().run(call.__enter__)
        except CircuitBreakerError:
            assert not expected
            return
        assert expected
        self.serial += 1
        self.calls[self.serial] = (call, self.era)
        if self.state == "half_open":
            self.slots[self.serial] = self.clock.monotonic() + LEASE

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), outcome=st.sampled_from(["success", "failure", "interrupt"]))
    def end(self, data: st.DataObject, outcome: str) -> None:
        serial = data.draw(st.sampled_from(sorted(self.calls)))
        call, era = self.calls.pop(serial)
        error = {"success": None, "failure": TimeoutError(), "interrupt": KeyboardInterrupt()}[outcome]
        tripped = False
        try:
            call.__exit__(type(error) if error else None, error, None)
        except CircuitBreakerError:
            tripped = True
        assert tripped is self.expect_end(serial, era, outcome)

    def expect_end(self, serial: int, era: int, outcome: str) -> bool:
        counts = era == self.era and (self.state == "closed" or serial in self.slots)
        self.slots.pop(serial, None)
        if not counts or outcome == "interrupt":
            return False
        if outcome == "failure":
            self.failures += 1
            if self.state == "half_open" or self.failures >= self.fail_max:
                self.enter("open")
                return True
            return False
        self.failures = 0
        if self.state == "half_open":
            self.successes += 1
            if self.successes >= self.threshold:
                self.enter("closed")
        return False

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        del self.calls[data.draw(st.sampled_from(sorted(self.calls)))]

    @rule(fails=st.booleans())
    def call_plainly(self, fails: bool) -> None:
        expected = self.admits()
        if expected:
            self.serial += 1
            if self.state == "half_open":
                self.slots[self.serial] = self.clock.monotonic() + LEASE
        era = self.era
        raised: BaseException | None = None
        try:
            self.breaker.call(_fail if fails else int)
        except (CircuitBreakerError, TimeoutError) as error:
            raised = error
        if not expected or self.expect_end(self.serial, era, "failure" if fails else "success"):
            assert isinstance(raised, CircuitBreakerError)
        else:
            assert isinstance(raised, TimeoutError) is fails

    @rule(seconds=st.integers(1, 30))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(target_state=st.sampled_from(["open", "half_open", "closed"]))
    def move_by_hand(self, target_state: str) -> None:
        move = {"open": self.breaker.open, "half_open": self.breaker.half_open, "closed": self.breaker.close}
        move[target_state]()
        if target_state != self.state:
            self.enter(target_state)
        elif target_state == "open":
            self.opened_at = self.clock.monotonic()

    @invariant()
    def agrees(self) -> None:
        stats = self.breaker.stats()
        assert (stats.state, stats.consecutive_failures) == (self.state, self.failures)
        assert stats.probes_under_way == len(self.slots) <= self.cap
        if self.state == "half_open":
            assert stats.successful_probes == self.successes
        if self.state == "open":
            assert stats.retry_after == max(0, self.opened_at + RESET_TIMEOUT - self.clock.monotonic())


def _fail() -> None:
    raise TimeoutError


TestBreakerAgainstModel = BreakerAgainstModel.TestCase
TestBreakerAgainstModel.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
