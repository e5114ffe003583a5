"""Any subset of policies around any call: where none of them intervenes, the guard is as good as not there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spanguard.error_handling import Bulkhead, CircuitBreaker, RetryConfig, Timeout, remaining
from spanguard.guard import Guard
from spanguard.rate_limiter import TokenBucketLimiter

ATTEMPTS = 3
KINDS = ("rate_limiter", "bulkhead", "retry", "circuit_breaker", "timeout", "deadline", "fallback")
RETRYABLE, HOPELESS = ConnectionError, TypeError

outcomes = st.sampled_from(["answer", RETRYABLE, HOPELESS])
calls = st.lists(st.lists(outcomes, min_size=ATTEMPTS, max_size=ATTEMPTS), min_size=1, max_size=5)
chosen = st.sets(st.sampled_from(KINDS), min_size=1)


class Script:
    """Does what it is told at each attempt, with an error object of its own each time."""

    def __init__(self, attempts: list[Any]) -> None:
        self._attempts = [attempt() if isinstance(attempt, type) else attempt for attempt in attempts]
        self.made = 0

    def __call__(self, left: int, *, right: int) -> tuple[str, int]:
        outcome = self._attempts[self.made]
        self.made += 1
        if isinstance(outcome, Exception):
            raise outcome
        return outcome, left + right

    async def ask(self, left: int, *, right: int) -> tuple[str, int]:
        await asyncio.sleep(0)
        return self(left, right=right)

    def expected(self, policies: set[str]) -> tuple[object, int]:
        """What the caller sees, and after how many attempts."""
        made, outcome = 0, None
        for made, outcome in enumerate(self._attempts, start=1):  # noqa: B007 - the last ones count
            if "retry" not in policies or not isinstance(outcome, RETRYABLE):
                break
        if isinstance(outcome, Exception):
            return ("fallback" if "fallback" in policies else outcome), made
        return (outcome, 3), made


def guard_of(policies: set[str]) -> tuple[Guard, dict[str, Any]]:
    made: dict[str, Any] = {
        "rate_limiter": TokenBucketLimiter(1_000_000, 1000, name="model"),
        "bulkhead": Bulkhead(1, queue=3, name="model"),
        "retry": RetryConfig(ATTEMPTS, base_delay=0, max_delay=0, budget=None),
        "circuit_breaker": CircuitBreaker(1000, name="model"),
        "timeout": Timeout(50, name="model"),
        "deadline": 100,
        "fallback": "fallback",
    }
    used = {kind: policy for kind, policy in made.items() if kind in policies}
    return Guard("model", **used), used


def check_totals(used: dict[str, Any], calls: int, attempts: int, failures: int) -> None:
    assert remaining() is None
    if "rate_limiter" in used:
        assert used["rate_limiter"].stats().acquired == calls
    if "bulkhead" in used:
        stats = used["bulkhead"].stats()
        assert (stats.running, stats.queued, stats.admitted) == (0, 0, calls)
    if "circuit_breaker" in used:
        stats = used["circuit_breaker"].stats()
        assert (stats.success + stats.failure, stats.failure) == (attempts, failures)
    if "timeout" in used:
        assert used["timeout"].stats().in_time == attempts


def seen(result: object, script: Script, policies: set[str]) -> None:
    expected, made = script.expected(policies)
    assert script.made == made
    if isinstance(expected, Exception):
        assert result is expected
    else:
        assert result == expected


def outcomes_of(scripts: list[Script]) -> Iterator[object]:
    for script in scripts:
        yield from script._attempts[: script.made]


@pytest.fixture(autouse=True, params=["quick", "watched"])
def _way(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("signals" if request.param == "watched" else "nothing_records")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(policies=chosen, calls=calls)
def test_a_guard_whose_policies_do_not_intervene_changes_nothing(policies: set[str], calls: list[list[Any]]) -> None:
    guarded, used = guard_of(policies)
    scripts = [Script(attempts) for attempts in calls]
    for number, script in enumerate(scripts):
        call = guarded(script.__call__) if number % 2 else lambda *a, s=script, **k: guarded.call(s, *a, **k)
        try:
            result: object = call(1, right=2)
        except Exception as error:  # noqa: BLE001 - it is what is compared
            result = error
        seen(result, script, policies)
    failures = sum(isinstance(outcome, Exception) for outcome in outcomes_of(scripts))
    check_totals(used, len(calls), sum(script.made for script in scripts), failures)


@settings(max_examples=75, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(policies=chosen, calls=calls)
def test_the_same_goes_for_tasks_side_by_side(policies: set[str], calls: list[list[Any]]) -> None:
    calls = calls[:4]  # one runs, three wait
    guarded, used = guard_of(policies)
    scripts = [Script(attempts) for attempts in calls]

    async def run() -> list[object]:
        return await asyncio.gather(
            *(guarded.call_async(script.ask, 1, right=2) for script in scripts), return_exceptions=True
        )

    for result, script in zip(asyncio.run(run()), scripts, strict=True):
        seen(result, script, policies)
    failures = sum(isinstance(outcome, Exception) for outcome in outcomes_of(scripts))
    check_totals(used, len(calls), sum(script.made for script in scripts), failures)
