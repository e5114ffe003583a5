"""Breakers for the tests of breakers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spanguard.error_handling import CircuitBreaker
from spanguard.testing import FakeClock


@pytest.fixture
def make(clock: FakeClock) -> Callable[..., CircuitBreaker]:
    def build(**settings: Any) -> CircuitBreaker:
        return CircuitBreaker(**{"name": "api", "clock": clock, "reset_timeout": 10.0, **settings})

    return build
