"""Every number that a guard is given is checked where it is written, and the message names the setting and the value."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from spanguard.error_handling import (
    Bulkhead,
    CircuitBreaker,
    CountWindow,
    DeadLetterQueue,
    ErrorHandler,
    FailureRate,
    GracefulDegradation,
    LastGood,
    RedisBreakerStorage,
    Retry,
    RetryBudget,
    RetryConfig,
    SlowCall,
    Timeout,
    TimeWindow,
    deadline,
    retry_budget,
)
from spanguard.errors import ConfigurationError
from spanguard.guard import Guard
from spanguard.rate_limiter import TokenBucketLimiter

NOT_A_NUMBER = [float("nan"), -1, "3", [3]]


def breaker_with(setting: str, kind: Callable[..., Any], **changes: Any) -> CircuitBreaker:
    """A breaker's parts are checked together, by the breaker that gets them."""
    parts = {setting: kind(**changes)}
    if setting == "window":
        parts["failure_rate"] = FailureRate()
    return CircuitBreaker(name="wrong", **parts)


def degradation(max_age: float = 300.0, max_entries: int = 128) -> GracefulDegradation:
    return GracefulDegradation(LastGood(max_age, max_entries), name="wrong")


def guard_of(deadline: float | None = None, max_wait: float = 0.0) -> Guard:
    return Guard("wrong", deadline=deadline, max_wait=max_wait)


BUILDERS: dict[str, Callable[..., Any]] = {
    "breaker": partial(CircuitBreaker, name="wrong"),
    "failure rate": partial(breaker_with, "failure_rate", FailureRate),
    "slow call": partial(breaker_with, "slow_call", partial(SlowCall, duration=1.0)),
    "count window": partial(breaker_with, "window", CountWindow),
    "time window": partial(breaker_with, "window", TimeWindow),
    "retry": partial(Retry, name="wrong"),
    "retry config": RetryConfig,
    "retry budget": partial(RetryBudget, "wrong"),
    "shared retry budget": partial(retry_budget, "wrong"),
    "timeout": partial(Timeout, name="wrong"),
    "bulkhead": partial(Bulkhead, limit=1, name="wrong"),
    "degradation": degradation,
    "dead letters": partial(DeadLetterQueue, "sqlite:///wrong.db", "wrong"),
    "error handler": ErrorHandler,
    "limiter": partial(TokenBucketLimiter, rate=1, burst=1, name="wrong"),
    "deadline": deadline,
    "guard": guard_of,
    "shared breaker": partial(RedisBreakerStorage, "redis://127.0.0.1:1", "wrong"),
}

BY_CHANGES = {
    "retry": RetryConfig,
    "shared retry budget": RetryBudget,
    "failure rate": FailureRate,
    "slow call": SlowCall,
    "count window": CountWindow,
    "time window": TimeWindow,
}
"""Where the settings are taken as keywords of another signature."""


def numbers() -> Iterator[Any]:
    """Every setting that is a number, of every builder."""
    for name, builder in BUILDERS.items():
        for parameter in inspect.signature(BY_CHANGES.get(name, builder)).parameters.values():
            annotation = str(parameter.annotation)
            if ("int" in annotation or "float" in annotation) and "Callable" not in annotation:
                yield pytest.param(builder, parameter.name, id=f"{name}: {parameter.name}")


@pytest.mark.parametrize("value", NOT_A_NUMBER, ids=repr)
@pytest.mark.parametrize(("builder", "setting"), list(numbers()))
def test_a_number_that_makes_no_sense_is_refused_by_name(builder: Callable[..., Any], setting: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        builder(**{setting: value})
    assert setting in str(caught.value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("builder", "setting"),
    [
        (BUILDERS["retry"], "max_attempts"),
        (BUILDERS["bulkhead"], "limit"),
        (BUILDERS["timeout"], "seconds"),
        (BUILDERS["breaker"], "fail_max"),
        (BUILDERS["breaker"], "half_open_max_calls"),
        (BUILDERS["dead letters"], "max_replays"),
        (BUILDERS["limiter"], "rate"),
        (BUILDERS["limiter"], "burst"),
    ],
)
def test_nothing_at_all_is_refused_where_something_is_needed(builder: Callable[..., Any], setting: str) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        builder(**{setting: 0})
