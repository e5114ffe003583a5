"""A function whose code is compiled anew around a listener does what it did."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanguard.instrumentation.pydantic import recompiling
from spanguard.instrumentation.pydantic.listener import Listener


def example(self: list[int], other: int) -> int:
    """Return the sum."""
    return self[0] + other


def test_a_source_that_was_not_compiled_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    source = inspect.getsource(example).replace("self[0]", "self[1]")
    monkeypatch.setattr(inspect, "getsource", lambda _: source)
    with pytest.raises(recompiling.SourceDiffersError, match="is not what it was compiled from"):
        recompiling.recompile(example.__code__, Listener())


class Hears:
    listens_to = IndexError

    def __init__(self) -> None:
        self.heard: list[tuple[type[BaseException], object]] = []

    def failed(self, error: BaseException, argument: object) -> None:
        self.heard.append((type(error), argument))


@given(st.lists(st.integers(), max_size=2), st.integers() | st.text())
def test_a_recompiled_function_does_what_it_did(first: list[int], second: Any) -> None:
    hears = Hears()
    twin = FunctionType(recompiling.recompile(example.__code__, hears), globals())

    def outcome(function: Callable[..., object]) -> object:
        try:
            return function(first, second)
        except Exception as error:  # noqa: BLE001 - compared
            return type(error), str(error)

    assert outcome(twin) == outcome(example)
    assert twin.__code__.co_consts[0] == example.__doc__
    assert hears.heard == ([] if first else [(IndexError, first)])
