"""Named breakers: one for each name, declared or made where they are used."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Generator, Iterator

import pytest

import spanguard.error_handling
from spanguard.error_handling import CircuitBreaker, CircuitBreakerError, circuit_breakers, with_circuit_breaker
from spanguard.errors import ConfigurationError


@pytest.fixture(autouse=True)
def no_breakers() -> Iterator[None]:
    circuit_breakers.reset()
    yield
    circuit_breakers.reset()


def fail() -> None:
    raise TimeoutError


def test_one_name_means_one_breaker() -> None:
    assert circuit_breakers.get("api") is circuit_breakers.get("api")
    assert circuit_breakers.all() == {"api": circuit_breakers.get("api")}


def test_without_declarations_a_name_makes_a_breaker_with_defaults_or_changes() -> None:
    assert circuit_breakers.get("plain").fail_max == 5
    assert circuit_breakers.get("changed", fail_max=2).fail_max == 2


def test_an_undeclared_name_is_refused_with_the_nearest_one() -> None:
    circuit_breakers.configure("twitter_api", fail_max=3)
    with pytest.raises(ConfigurationError, match="Did you mean 'twitter_api'"):
        circuit_breakers.get("twiter_api")


def test_an_undeclared_name_with_settings_of_its_own_is_built() -> None:
    circuit_breakers.configure("twitter_api")
    assert circuit_breakers.get("other", fail_max=3).fail_max == 3


def test_other_settings_than_the_breaker_has_are_refused() -> None:
    circuit_breakers.configure("api", fail_max=3)
    with pytest.raises(ConfigurationError, match="fail_max is asked to be 4, but the breaker exists with 3"):
        circuit_breakers.get("api", fail_max=4)
    assert circuit_breakers.get("api", fail_max=3).fail_max == 3


def test_what_else_a_breaker_is_built_with_must_be_the_same_too_and_is_not_shown() -> None:
    assert circuit_breakers.get("api", exclude=[KeyError]) is circuit_breakers.get("api", exclude=[KeyError])
    with pytest.raises(ConfigurationError, match="exclude is asked for") as caught:
        circuit_breakers.get("api", exclude=[ValueError])
    assert "ValueError" not in str(caught.value)


@with_circuit_breaker("decorated")
def plain(error: bool = False) -> str:
    if error:
        fail()
    return "plain"


def test_a_decorated_function_is_guarded_by_the_named_breaker() -> None:
    assert plain() == "plain"
    circuit_breakers.get("decorated").open()
    with pytest.raises(CircuitBreakerError):
        plain()


def test_a_breaker_declared_after_the_decoration_and_the_first_call_decides() -> None:
    plain()
    declared = circuit_breakers.configure("decorated", fail_max=1)
    with pytest.raises(CircuitBreakerError):
        plain(error=True)
    assert declared.current_state == "open"


def test_a_registered_breaker_is_what_the_name_means() -> None:
    breaker = CircuitBreaker(name="decorated")
    circuit_breakers.register("decorated", breaker)
    plain()
    assert breaker.stats().success == 1


async def test_coroutine_and_generator_functions_stay_what_they_are() -> None:
    @with_circuit_breaker("kinds")
    async def coroutine() -> int:
        return 1

    @with_circuit_breaker("kinds")
    def generator() -> Generator[int, None, None]:
        yield 2

    @with_circuit_breaker("kinds")
    async def async_generator() -> AsyncGenerator[int, None]:
        yield 3

    assert inspect.iscoroutinefunction(coroutine)
    assert inspect.isasyncgenfunction(async_generator)
    assert [await coroutine(), *generator(), *[item async for item in async_generator()]] == [1, 2, 3]
    assert circuit_breakers.get("kinds").stats().success == 3


def test_wrong_settings_are_refused_at_the_decoration() -> None:
    with pytest.raises(ConfigurationError, match="fail_max is 0"):
        with_circuit_breaker("api", fail_max=0)
    with pytest.raises(TypeError, match="fail_maxx"):
        with_circuit_breaker("api", fail_maxx=1)


def test_a_decorator_without_a_name_says_what_it_needs() -> None:
    with pytest.raises(TypeError, match="needs the name"):
        with_circuit_breaker(fail)  # type: ignore[arg-type]


def test_the_table_of_contents_is_complete() -> None:
    names = spanguard.error_handling.__all__
    assert sorted(names) == list(names)
    assert all(hasattr(spanguard.error_handling, name) for name in names)
