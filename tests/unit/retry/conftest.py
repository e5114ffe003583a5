"""A retry whose waits take no time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spanguard.error_handling import Retry
from spanguard.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(auto_advance=True)


@pytest.fixture
def retry(clock: FakeClock) -> Callable[..., Retry]:
    def build(**changes: Any) -> Retry:
        settings: dict[str, Any] = {"jitter": "none", "base_delay": 1.0, "clock": clock, "name": "api", **changes}
        return Retry(**settings)

    return build
