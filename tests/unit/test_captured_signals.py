"""Waiting for captured signals: for what arrives, and for what moves without arriving."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from spanguard.testing import Signals


def test_a_gauge_that_moves_between_two_collections_is_waited_for(signals: Signals) -> None:
    looked = threading.Event()

    def level(_: CallbackOptions) -> list[Observation]:
        return [Observation(1 if looked.is_set() else 0)]

    metrics.get_meter("test").create_observable_gauge("test.wait.level", [level])

    def is_high(captured: Signals) -> bool:
        high = captured.value("test.wait.level") == 1
        looked.set()
        return high

    # An arrival wakes nobody here: only being asked again shows the gauge's new value.
    assert signals.wait_for(is_high, timeout=10)


def test_what_arrives_while_the_condition_is_computed_is_not_held_up(signals: Signals) -> None:
    with ThreadPoolExecutor(1) as pool:
        # The other thread needs the lock of the signals; it would never get it if the condition held it.
        assert signals.wait_for(lambda captured: pool.submit(captured.spans).result(5) == [], timeout=10)


def test_what_does_not_come_is_an_error_that_names_it(signals: Signals) -> None:
    with pytest.raises(TimeoutError, match=r"the thing did not arrive within 0\.1 s"):
        signals.wait_for(lambda _: False, timeout=0.1, what="the thing")
