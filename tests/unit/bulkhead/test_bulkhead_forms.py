"""The bulkhead's forms of a call, its settings and its texts."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from spanguard.error_handling import Bulkhead, BulkheadFullError
from spanguard.errors import ConfigurationError
from unit.bulkhead.callers import is_idle

# --- forms ---------------------------------------------------------------------------------------------------------


def test_a_call_returns_what_the_function_returns(make: Callable[..., Bulkhead]) -> None:
    assert make().call(max, 1, 2, key=lambda n: -n) == 1


def test_a_failed_call_gives_its_permit_back(make: Callable[..., Bulkhead]) -> None:
    bulkhead = make()
    with pytest.raises(ValueError, match="invalid literal"):
        bulkhead.call(int, "x")
    assert is_idle(bulkhead)


def test_a_decorated_function_runs_with_a_permit(make: Callable[..., Bulkhead]) -> None:
    bulkhead = make()

    @bulkhead
    def inside() -> int:
        return bulkhead.stats().running

    assert (inside(), inside.__name__) == (1, "inside")
    assert is_idle(bulkhead)


async def test_a_decorated_coroutine_function_runs_with_a_permit(make: Callable[..., Bulkhead]) -> None:
    bulkhead = make()

    @bulkhead
    async def inside() -> int:
        await asyncio.sleep(0)
        return bulkhead.stats().running

    assert await inside() == 1
    assert is_idle(bulkhead)


async def test_blocks_run_with_a_permit(make: Callable[..., Bulkhead]) -> None:
    bulkhead = make(2)
    with bulkhead.calling():
        async with bulkhead.calling():
            assert bulkhead.stats().running == 2
    assert is_idle(bulkhead)


def test_a_block_cannot_be_entered_twice_at_once(make: Callable[..., Bulkhead]) -> None:
    bulkhead = make(2)
    with bulkhead.calling() as block, pytest.raises(RuntimeError, match="calling"):
        block.__enter__()
    assert is_idle(bulkhead)


def test_a_generator_function_is_refused_when_decorated(make: Callable[..., Bulkhead]) -> None:
    def numbers() -> Iterator[int]:
        yield 1

    with pytest.raises(ConfigurationError, match="generator"):
        make()(numbers)


def test_an_async_generator_function_is_refused_when_decorated(make: Callable[..., Bulkhead]) -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(ConfigurationError, match="generator"):
        make()(numbers)


def test_a_plain_call_of_a_coroutine_function_is_refused(make: Callable[..., Bulkhead]) -> None:
    async def later() -> None:
        """Would run without a permit."""

    call: Callable[..., object] = make().call
    with pytest.raises(TypeError, match="call_async"):
        call(later)


# --- settings and texts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"limit": 0}, "limit is 0"),
        ({"limit": True}, "limit is True"),
        ({"limit": 1.5}, "limit is 1.5"),
        ({"limit": 1, "queue": -1}, "queue is -1"),
        ({"limit": 1, "queue": 1, "max_wait": 0}, "max_wait is 0"),
        ({"limit": 1, "queue": 1, "max_wait": float("nan")}, "max_wait is nan"),
        ({"limit": 1, "max_wait": 1.0}, "nobody would wait"),
        ({"limit": 1, "name": ""}, "name is ''"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Bulkhead(**{"name": "api", **settings})


def test_all_wrong_settings_are_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Bulkhead(0, -1, name="api")
    assert len(caught.value.problems) == 2


def test_a_wrong_new_limit_changes_nothing(make: Callable[..., Bulkhead]) -> None:
    bulkhead = make(2)
    with pytest.raises(ConfigurationError):
        bulkhead.resize(limit=0)
    assert bulkhead.limit == 2


def test_the_error_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(BulkheadFullError("api", "timed_out", 2, 3, 0.5)))
    assert (error.outcome, error.waited, str(error)) == (
        "timed_out",
        0.5,
        "bulkhead 'api' is full: this call has waited 0.5 s for one of the 2 permits. The call was not made.",
    )
