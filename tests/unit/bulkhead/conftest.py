"""A bulkhead for the tests of bulkheads."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from spanguard.error_handling import Bulkhead
from spanguard.testing import FakeClock


@pytest.fixture
def make(clock: FakeClock) -> Callable[..., Bulkhead]:
    def build(limit: int = 1, queue: int = 0, max_wait: float | None = None) -> Bulkhead:
        return Bulkhead(limit, queue, max_wait, name="api", clock=clock)

    return build
