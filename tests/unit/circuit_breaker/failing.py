"""Calls that fail."""

from __future__ import annotations

import pytest

from spanguard.error_handling import CircuitBreaker, CircuitBreakerError


def fail(error: BaseException | None = None) -> None:
    raise error or TimeoutError("the customer's secret")


def fail_times(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        with pytest.raises((TimeoutError, CircuitBreakerError)):
            breaker.call(fail)
