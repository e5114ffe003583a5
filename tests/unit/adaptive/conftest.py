"""An adaptive limiter for the tests of adaptive limiters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spanguard.rate_limiter import AdaptiveLimiter
from spanguard.testing import FakeClock

Make = Callable[..., AdaptiveLimiter]


@pytest.fixture
def make(clock: FakeClock) -> Make:
    def build(algorithm: Any = None, **settings: Any) -> AdaptiveLimiter:
        return AdaptiveLimiter(algorithm, **{"name": "search", "clock": clock, **settings})

    return build
