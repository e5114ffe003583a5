"""A queue for the tests of queues."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spanguard.rate_limiter import BackpressureManager
from spanguard.testing import FakeClock

Make = Callable[..., BackpressureManager[Any]]


@pytest.fixture
def make(clock: FakeClock) -> Make:
    def build(limit: int = 2, policy: Any = "block", **settings: Any) -> BackpressureManager[Any]:
        return BackpressureManager(limit, policy, **{"name": "orders", "clock": clock, **settings})

    return build
