"""The plugin, switched on, and an application's breaker under it."""

from __future__ import annotations

from collections.abc import Iterator

import pybreaker
import pytest

from spanguard.instrumentation.pybreaker import PybreakerInstrumentor
from unit.pybreaker_plugin.theirs import NEVER


@pytest.fixture
def plugin() -> Iterator[PybreakerInstrumentor]:
    plugin = PybreakerInstrumentor()
    plugin.instrument()
    yield plugin
    if plugin.is_instrumented_by_opentelemetry:
        plugin.uninstrument()


@pytest.fixture
def breaker(plugin: PybreakerInstrumentor) -> pybreaker.CircuitBreaker:
    return pybreaker.CircuitBreaker(fail_max=2, reset_timeout=NEVER, name="theirs", exclude=[KeyError])
