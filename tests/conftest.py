"""Fixtures that every kind of test may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spanguard.testing import FakeClock, OtlpReceiver, Signals, capture


@pytest.fixture
def signals() -> Iterator[Signals]:
    """The telemetry that the test emits, caught in this process."""
    with capture() as captured:
        yield captured


@pytest.fixture
def clock() -> FakeClock:
    """A clock that moves only when the test says so."""
    return FakeClock()


@pytest.fixture
def otlp_receiver() -> Iterator[OtlpReceiver]:
    """An OTLP endpoint on loopback, for programs that run as their own process."""
    with OtlpReceiver() as receiver:
        yield receiver
