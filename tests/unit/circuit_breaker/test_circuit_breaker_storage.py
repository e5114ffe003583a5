"""A breaker whose state stands in a storage that others can write too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pybreaker
import pytest

from spanguard.error_handling import CircuitBreaker, CircuitBreakerError
from spanguard.testing import FakeClock
from unit.circuit_breaker.failing import fail_times


def test_a_storage_that_raises_leaves_the_breaker_to_itself(make: Callable[..., CircuitBreaker]) -> None:
    class Dying(pybreaker.CircuitMemoryStorage):
        dead = False

        def increment_counter(self) -> None:
            if self.dead:
                raise ConnectionError
            super().increment_counter()

    storage = Dying("closed")
    breaker = make(fail_max=2, state_storage=storage)
    storage.dead = True
    fail_times(breaker, 2)
    assert breaker.current_state == "open"


@pytest.mark.parametrize(("opened_ago", "retry_after"), [(6, 4.0), (3600, 0.0), (-3600, 10.0)])
def test_a_stored_opening_is_a_time_of_day_and_not_trusted_to_be_past(
    make: Callable[..., CircuitBreaker], clock: FakeClock, opened_ago: float, retry_after: float
) -> None:
    storage = pybreaker.CircuitMemoryStorage("open")
    storage.opened_at = datetime.fromtimestamp(clock.time() - opened_ago, UTC)
    assert make(state_storage=storage).stats().retry_after == pytest.approx(retry_after)


def test_a_breaker_that_moves_writes_the_time_of_day(make: Callable[..., CircuitBreaker], clock: FakeClock) -> None:
    storage = pybreaker.CircuitMemoryStorage("closed")
    make(state_storage=storage).open()
    assert (storage.state, storage.opened_at) == ("open", datetime.fromtimestamp(clock.time(), UTC))


def test_what_was_read_before_the_breaker_moved_is_not_taken_over(make: Callable[..., CircuitBreaker]) -> None:
    class Overtaken(pybreaker.CircuitMemoryStorage):
        meanwhile: Callable[[], Any] | None = None

        @property
        def state(self) -> str:
            read, meanwhile, self.meanwhile = self._state, self.meanwhile, None
            if meanwhile is not None:
                meanwhile()
            return read

        @state.setter
        def state(self, state: str) -> None:
            self._state = state

    storage = Overtaken("closed")
    breaker = make(state_storage=storage)
    storage.meanwhile = breaker.open
    with pytest.raises(CircuitBreakerError):
        breaker.call(int)
