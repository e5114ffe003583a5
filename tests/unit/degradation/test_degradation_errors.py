"""Which errors are answered, and what is raised where nobody has an answer."""

from __future__ import annotations

import asyncio
import gc
import pickle
import weakref
from typing import Any

import pytest

from spanguard.error_handling import FallbackFailedError, FallbackValue, GracefulDegradation
from spanguard.errors import ConfigurationError, SpanguardError
from unit.degradation.dependencies import Dependency, fail_too


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
