"""Calls through an application's own breaker, and what the signals say of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pybreaker
import pytest

from spanguard import semconv
from spanguard.testing import Signals

CALLS = semconv.BREAKER_CALLS_METRIC.name
STATUS = semconv.BREAKER_STATUS_METRIC.name
EVENT = semconv.BREAKER_STATE_CHANGE_EVENT.name
NEVER = 3600.0


def fail() -> None:
    raise TimeoutError("secret")


def attempt(breaker: pybreaker.CircuitBreaker, function: Callable[..., Any] = fail, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises((TimeoutError, KeyError, pybreaker.CircuitBreakerError)):
            breaker.call(function)


def counted(signals: Signals, name: str = "theirs") -> dict[str, float]:
    outcomes = {
        outcome: signals.increase(CALLS, {semconv.POLICY_NAME.key: name, semconv.BREAKER_OUTCOME.key: outcome})
        for outcome in semconv.BREAKER_OUTCOME.values
    }
    return {outcome: count for outcome, count in outcomes.items() if count}


def reasons(signals: Signals) -> list[tuple[Any, Any, Any]]:
    return [
        (
            event.attributes[semconv.BREAKER_FROM.key],
            event.attributes[semconv.BREAKER_TO.key],
            event.attributes[semconv.BREAKER_REASON.key],
        )
        for event in signals.events(EVENT)
    ]


def status(signals: Signals, name: str) -> dict[Any, float]:
    return {
        point.attributes[semconv.BREAKER_STATE.key]: point.value
        for point in signals.points(STATUS)
        if point.attributes[semconv.POLICY_NAME.key] == name and point.value
    }
