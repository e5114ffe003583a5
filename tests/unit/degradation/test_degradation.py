"""Graceful degradation: who answers where a call failed, and how the caller can tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from spanguard.error_handling import (
    CircuitBreaker,
    FallbackFunction,
    FallbackValue,
    GracefulDegradation,
    LastGood,
    degraded_answers,
    fallback,
)
from spanguard.errors import ConfigurationError
from spanguard.testing import Signals
from unit.degradation.dependencies import Dependency, fail_too

# --- sources -------------------------------------------------------------------------------------------------------


def test_a_call_that_succeeds_answers_itself(dependency: Dependency) -> None:
    policy = GracefulDegradation(0, name="api")
    answer = policy.answer(dependency.ask, 5)
    assert (answer.value, answer.is_degraded, policy.stats().primary) == (5, False, 1)


@pytest.mark.parametrize("value", [None, 0, [], "text"])
def test_a_value_stands_in(broken: Dependency, value: Any) -> None:
    answer = GracefulDegradation(value, name="api").answer(broken.ask, 5)
    assert answer.value is value
    assert answer.degraded is not None
    assert (answer.degraded.name, answer.degraded.source, answer.degraded.age) == ("api", "value", None)
    assert answer.degraded.error is broken.error


def test_a_function_stands_in_with_the_arguments_of_the_call(broken: Dependency) -> None:
    policy = GracefulDegradation(lambda number, *, times=1: number * times, name="api")
    assert policy.call(broken.ask, 5, times=3) == 15
    assert policy.stats().function == 1


async def test_a_coroutine_function_stands_in_for_another(broken: Dependency) -> None:
    async def replica(question: int) -> int:
        await asyncio.sleep(0)
        return -question

    answer = await GracefulDegradation(replica, name="api").answer_async(broken.ask_async, 5)
    assert (answer.value, answer.is_degraded) == (-5, True)


async def test_a_plain_function_stands_in_for_a_coroutine_function(broken: Dependency) -> None:
    assert await GracefulDegradation(abs, name="api").call_async(broken.ask_async, -5) == 5


def test_the_sources_are_asked_in_turn_until_one_has_an_answer(broken: Dependency) -> None:
    policy = GracefulDegradation(LastGood(), fail_too, abs, 0, name="api")
    assert policy.answer(broken.ask, -5).value == 5


def test_a_source_answers_only_the_errors_that_it_is_bound_to(dependency: Dependency) -> None:
    policy = GracefulDegradation(FallbackValue("slow", on=TimeoutError), FallbackValue("away"), name="api")
    answers = []
    for error in (TimeoutError(), ConnectionError()):
        dependency.error = error
        answers.append(policy.call(dependency.ask, 5))
    assert answers == ["slow", "away"]


def test_a_function_can_be_a_value(broken: Dependency) -> None:
    assert GracefulDegradation(FallbackValue(abs), name="api").call(broken.ask, 5) is abs


# --- telling -------------------------------------------------------------------------------------------------------


def test_a_block_knows_what_was_degraded_in_it_however_deep(broken: Dependency) -> None:
    with degraded_answers() as outer:
        with degraded_answers() as inner:
            GracefulDegradation(0, name="first").call(broken.ask, 5)
        GracefulDegradation(0, name="second").call(broken.ask, 5)
    assert [degraded.name for degraded in inner] == ["first"]
    assert [degraded.name for degraded in outer] == ["first", "second"]


async def test_a_block_knows_what_was_degraded_in_its_tasks_and_nothing_of_others(broken: Dependency) -> None:
    policy = GracefulDegradation(0, name="api")

    async def handle(times: int) -> int:
        with degraded_answers() as degraded:
            await asyncio.gather(*(policy.call_async(broken.ask_async, 5) for _ in range(times)))
            return len(degraded)

    assert [*await asyncio.gather(handle(1), handle(3))] == [1, 3]


# --- forms and settings --------------------------------------------------------------------------------------------


async def test_it_decorates_functions_and_coroutine_functions() -> None:
    policy = GracefulDegradation(0, name="api")

    @policy
    def plain() -> int:
        raise ConnectionError

    @policy
    async def awaited() -> int:
        raise ConnectionError

    assert [plain(), await awaited()] == [0, 0]


def test_fallback_names_its_policy_after_the_function() -> None:
    @fallback(0)
    def price() -> int:
        raise ConnectionError

    with degraded_answers() as degraded:
        assert price() == 0
    assert degraded[0].name.endswith("price")


def test_a_coroutine_function_cannot_stand_in_for_a_plain_one(dependency: Dependency) -> None:
    policy = GracefulDegradation(dependency.ask_async, name="api")
    with pytest.raises(ConfigurationError, match="of one kind"):
        policy(dependency.ask)


@pytest.mark.parametrize(
    ("sources", "settings", "message"),
    [
        ([], {}, "no source"),
        ([0, abs], {}, "source 2 would never be asked"),
        ([LastGood(max_age=0)], {}, "max_age of LastGood is 0"),
        ([LastGood(max_age=float("nan"))], {}, "max_age of LastGood is nan"),
        ([LastGood(max_entries=0)], {}, "max_entries of LastGood is 0"),
        ([0], {"on": KeyboardInterrupt}, "on is"),
        ([0], {"on": ()}, "on is"),
        ([FallbackFunction(abs, on=asyncio.CancelledError)], {}, "on of source 1"),
        ([0], {"name": ""}, "name is ''"),
    ],
)
def test_settings_that_make_no_sense_are_refused(sources: list[Any], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        GracefulDegradation(*sources, **{"name": "api", **settings})


def test_no_value_is_in_its_repr() -> None:
    assert repr(GracefulDegradation(abs, "secret", name="api")) == (
        "<GracefulDegradation 'api': FallbackFunction, FallbackValue>"
    )


# --- signals -------------------------------------------------------------------------------------------------------


def test_answers_are_counted_by_their_source(broken: Dependency, signals: Signals) -> None:
    policy = GracefulDegradation("secret", name="api")
    policy.call(broken.ask, 5)
    policy.call(int)
    policy_of = {"spanguard.policy.name": "api"}
    counted = {
        source: signals.increase("spanguard.degradation.answers", {**policy_of, "spanguard.degradation.source": source})
        for source in ("primary", "value")
    }
    assert counted == {"primary": 1, "value": 1}


def test_a_degraded_answer_is_an_event_without_the_answer(broken: Dependency, signals: Signals) -> None:
    GracefulDegradation("secret", name="api").call(broken.ask, 5)
    (event,) = signals.events("spanguard.degradation.answer")
    assert event.attributes == {
        "spanguard.policy.name": "api",
        "spanguard.degradation.source": "value",
        "error.type": "ConnectionError",
    }
    assert "secret" not in event.body


def test_a_recovered_error_does_not_mark_the_operation_as_failed(broken: Dependency, signals: Signals) -> None:
    GracefulDegradation(0, name="api").call(broken.ask, 5)
    (span,) = signals.spans("guard api")
    assert (span.status, span.attributes["spanguard.outcome"]) == ("unset", "success")
    assert span.attributes["spanguard.degradation.source"] == "value"


def test_a_function_that_stands_in_is_a_child_span_that_may_fail(broken: Dependency, signals: Signals) -> None:
    GracefulDegradation(fail_too, 0, name="api").call(broken.ask, 5)
    (guard,) = signals.spans("guard api")
    (child,) = signals.spans("fallback api")
    assert (child.parent_id, child.status, guard.status) == (guard.span_id, "error", "unset")


def test_a_breaker_below_shares_the_span_and_does_not_fail_it(signals: Signals) -> None:
    breaker: Callable[[Callable[[], int]], Callable[[], int]] = CircuitBreaker(name="breaker")

    @GracefulDegradation(0, name="api")
    @breaker
    def ask() -> int:
        raise ConnectionError

    assert ask() == 0
    (span,) = signals.spans()
    assert (span.name, span.status) == ("guard api", "unset")
    assert span.attributes["spanguard.circuit_breaker.outcome"] == "failure"
