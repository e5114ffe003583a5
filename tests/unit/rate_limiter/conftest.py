"""A limiter for the tests of limiters."""

from __future__ import annotations

import pytest

from spanguard.rate_limiter import TokenBucketLimiter
from spanguard.testing import FakeClock


@pytest.fixture
def limiter(clock: FakeClock) -> TokenBucketLimiter:
    """Two a second, three at once."""
    return TokenBucketLimiter(2, 3, name="unit", clock=clock)
