"""A dependency that answers, and one that is broken."""

from __future__ import annotations

import pytest

from unit.degradation.dependencies import Dependency


@pytest.fixture
def dependency() -> Dependency:
    return Dependency()


@pytest.fixture
def broken() -> Dependency:
    made = Dependency()
    made.error = ConnectionError("away")
    return made
