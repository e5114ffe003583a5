"""Fixtures for guards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spanguard.config_manager import Profile, load_profile
from spanguard.error_handling import circuit_breakers
from spanguard.guard import guards
from spanguard.rate_limiter import rate_limit_manager

Load = Callable[[str], Profile]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Nothing is declared before the test, and nothing is left after it."""
    guards.reset(forget_guards=True)
    yield
    guards.reset(forget_guards=True)
    circuit_breakers.reset()
    rate_limit_manager.reset()


@pytest.fixture(autouse=True)
def _quick_or_watched(request: pytest.FixtureRequest) -> None:
    """A test that looks at no signals is about the quick way."""
    if "signals" not in request.fixturenames:
        request.getfixturevalue("nothing_records")


@pytest.fixture
def profile(tmp_path: Path) -> Load:
    """Read a profile from a text."""

    def load(text: str) -> Profile:
        file = tmp_path / "guards.toml"
        file.write_text(text, "utf-8")
        return load_profile(file)

    return load


@pytest.fixture
def load(profile: Load) -> Callable[[str], None]:
    """Go by the profile of a text."""
    return lambda text: guards.reconfigure(profile(text))
