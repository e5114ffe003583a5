"""Graceful degradation: who answers where a call failed, how the caller can tell, and what is raised where nobody can."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from spanguard.error_handling import (
    CircuitBreaker,
    FallbackFailedError,
    FallbackFunction,
    FallbackValue,
    GracefulDegradation,
    LastGood,
    degraded_answers,
    fallback,
)
from spanguard.errors import ConfigurationError, SpanguardError
from spanguard.testing import FakeClock, Signals


class Dependency:
    """Answers with what it was given, or raises what it was told to."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def ask(self, question: Any, **_: Any) -> Any:
        if self.error is not None:
            raise self.error
        return question

    async def ask_async(self, question: Any) -> Any:
        return self.ask(question)


@pytest.fixture
def dependency() -> Dependency:
    return Dependency()


@pytest.fixture
def broken() -> Dependency:
    made = Dependency()
    made.error = ConnectionError("away")
    return made


def fail_too(*_: Any) -> Any:
    raise LookupError("not there either")


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


# --- the last good answer ------------------------------------------------------------------------------------------


def test_the_last_good_answer_stands_in_and_shows_its_age(dependency: Dependency, clock: FakeClock) -> None:
    policy = GracefulDegradation(LastGood(max_age=60), name="api", clock=clock)
    policy.call(dependency.ask, "old")
    clock.advance(45)
    dependency.error = ConnectionError()
    degraded = policy.answer(dependency.ask, "old").degraded
    assert degraded is not None
    assert (degraded.source, degraded.age) == ("stale", 45)


def test_an_answer_that_is_too_old_does_not_stand_in(dependency: Dependency, clock: FakeClock) -> None:
    policy = GracefulDegradation(LastGood(max_age=60), name="api", clock=clock)
    policy.call(dependency.ask, "old")
    clock.advance(60.1)
    dependency.error = ConnectionError("away")
    with pytest.raises(ConnectionError, match="away"):
        policy.call(dependency.ask, "old")


def test_a_degraded_answer_is_not_kept_as_a_good_one(dependency: Dependency, clock: FakeClock) -> None:
    policy = GracefulDegradation(LastGood(), FallbackValue("default"), name="api", clock=clock)
    dependency.error = ConnectionError()
    answers = [policy.answer(dependency.ask, 1) for _ in range(2)]
    assert [answer.degraded.source for answer in answers if answer.degraded] == ["value", "value"]


def test_an_answer_to_other_arguments_does_not_stand_in(dependency: Dependency) -> None:
    policy = GracefulDegradation(LastGood(), "none", name="api")
    for question in (1, "x"):
        policy.call(dependency.ask, question)
    dependency.error = ConnectionError()
    assert [policy.call(dependency.ask, question) for question in (1, "x", 2, True, 1.0)] == [1, "x"] + ["none"] * 3


def test_an_answer_of_another_function_does_not_stand_in(dependency: Dependency, broken: Dependency) -> None:
    policy = GracefulDegradation(LastGood(), "none", name="api")
    policy.call(dependency.ask, 1)
    assert policy.call(broken.ask, 1) == "none"


def test_no_more_answers_are_kept_than_allowed_and_the_least_used_goes_first(dependency: Dependency) -> None:
    policy = GracefulDegradation(LastGood(max_entries=2), "none", name="api")
    for question in (1, 2, 1, 3):
        policy.call(dependency.ask, question)
    dependency.error = ConnectionError()
    assert [policy.call(dependency.ask, question) for question in (1, 2, 3)] == [1, "none", 3]


def test_an_answer_that_stood_in_counts_as_used(dependency: Dependency) -> None:
    policy = GracefulDegradation(LastGood(max_entries=2), "none", name="api")
    for question in (1, 2):
        policy.call(dependency.ask, question)
    dependency.error = ConnectionError()
    policy.call(dependency.ask, 1)
    dependency.error = None
    policy.call(dependency.ask, 3)
    dependency.error = ConnectionError()
    assert [policy.call(dependency.ask, question) for question in (1, 2)] == [1, "none"]


def test_a_key_of_ones_own_tells_calls_apart(dependency: Dependency) -> None:
    policy = GracefulDegradation(LastGood(key=lambda question, **_: question % 10), name="api")
    policy.call(dependency.ask, 15, trace="a")
    dependency.error = ConnectionError()
    assert policy.call(dependency.ask, 25, trace="b") == 15


@pytest.mark.parametrize("settings", [LastGood(), LastGood(key=lambda _: 1 // 0)])
def test_a_call_whose_arguments_cannot_be_told_apart_is_not_kept(dependency: Dependency, settings: LastGood) -> None:
    policy = GracefulDegradation(settings, "none", name="api")
    assert policy.call(dependency.ask, [1]) == [1]
    dependency.error = ConnectionError()
    assert policy.call(dependency.ask, [1]) == "none"


def test_answers_are_kept_from_many_threads(dependency: Dependency) -> None:
    policy = GracefulDegradation(LastGood(max_entries=8), name="api")

    def work() -> None:
        for number in range(500):
            policy.call(dependency.ask, number % 16)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (policy.stats().primary, len(policy._memories[0])) == (4000, 8)


def test_a_child_has_its_parents_answers_though_the_locks_were_held(dependency: Dependency) -> None:
    policy = GracefulDegradation(LastGood(), name="api")
    policy.call(dependency.ask, 1)
    dependency.error = ConnectionError()
    held, forked = threading.Event(), threading.Event()

    def hold() -> None:
        with policy._memories[0]._lock, policy._tally._lock:
            held.set()
            forked.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if policy.call(dependency.ask, 1) == 1 else 1)
    _, status = os.waitpid(pid, 0)
    forked.set()
    holder.join()
    assert os.waitstatus_to_exitcode(status) == 0


# --- errors --------------------------------------------------------------------------------------------------------


def test_a_fallback_that_fails_raises_both_errors(broken: Dependency) -> None:
    with pytest.raises(FallbackFailedError) as caught:
        GracefulDegradation(fail_too, name="api").call(broken.ask, 5)
    error = caught.value
    assert [type(part) for part in error.exceptions] == [ConnectionError, LookupError]
    assert isinstance(error, SpanguardError)
    assert isinstance(error, ExceptionGroup)
    assert error.name == "api"


def test_each_of_the_errors_can_be_caught_by_its_class(broken: Dependency) -> None:
    caught: list[Exception] = []
    try:
        GracefulDegradation(fail_too, name="api").call(broken.ask, 5)
    except* ConnectionError as group:
        caught += group.exceptions
    except* LookupError as group:
        caught += group.exceptions
    assert [str(error) for error in caught] == ["away", "not there either"]


def test_the_text_of_the_error_holds_no_text_of_its_parts(broken: Dependency) -> None:
    with pytest.raises(FallbackFailedError) as caught:
        GracefulDegradation(fail_too, name="api").call(broken.ask, 5)
    assert "away" not in str(caught.value)


def test_the_error_can_be_pickled_and_split(broken: Dependency) -> None:
    error = pickle.loads(pickle.dumps(FallbackFailedError("api", [ConnectionError(), LookupError()])))
    found, rest = error.split(LookupError)
    assert (type(found), found.name, [type(part) for part in rest.exceptions]) == (
        FallbackFailedError,
        "api",
        [ConnectionError],
    )


def test_an_error_that_is_not_covered_goes_on(dependency: Dependency) -> None:
    policy = GracefulDegradation(0, name="api", on=(ConnectionError, TimeoutError))
    dependency.error = ValueError("wrong")
    with pytest.raises(ValueError, match="wrong"):
        policy.call(dependency.ask, 5)
    assert policy.stats().none == 1


def test_an_error_that_no_source_is_bound_to_goes_on(broken: Dependency) -> None:
    policy = GracefulDegradation(FallbackValue(0, on=TimeoutError), name="api")
    with pytest.raises(ConnectionError):
        policy.call(broken.ask, 5)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ConfigurationError("nonsense")])
def test_what_is_no_failure_of_the_dependency_is_not_answered(dependency: Dependency, error: BaseException) -> None:
    dependency.error = error
    with pytest.raises(type(error)):
        GracefulDegradation(0, name="api").call(dependency.ask, 5)


async def test_a_cancellation_is_not_answered(dependency: Dependency) -> None:
    dependency.error = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await GracefulDegradation(0, name="api").call_async(dependency.ask_async, 5)


async def test_a_cancellation_during_the_fallback_goes_on(broken: Dependency) -> None:
    async def replica(_: Any) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await GracefulDegradation(replica, 0, name="api").call_async(broken.ask_async, 5)


def test_a_mistaken_plain_call_of_a_coroutine_function_is_not_answered(dependency: Dependency) -> None:
    with pytest.raises(TypeError, match="call_async"):
        GracefulDegradation(0, name="api").call(dependency.ask_async, 5)


def test_an_error_that_was_answered_is_not_kept_alive() -> None:
    kept: list[weakref.ref[Exception]] = []

    class AwayError(Exception):
        def __init__(self) -> None:
            kept.append(weakref.ref(self))

    def fail() -> None:
        raise AwayError

    gc.disable()
    try:
        GracefulDegradation(0, name="api").call(fail)
        assert kept[0]() is None
    finally:
        gc.enable()


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
