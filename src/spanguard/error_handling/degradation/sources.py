"""Where a degraded answer may come from."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

Errors = type[BaseException] | tuple[type[BaseException], ...]


@dataclass(frozen=True, slots=True)
class FallbackValue:
    """A value. It is the same object each time, so do not change it.

    Args:
        value: the answer.
        on: for which errors.
    """

    value: Any
    on: Errors = Exception


@dataclass(frozen=True, slots=True)
class FallbackFunction:
    """A function, or under an async call also a coroutine function, that gets the arguments of the call.

    Args:
        function: what to call.
        on: for which errors.
    """

    function: Callable[..., Any]
    on: Errors = Exception


@dataclass(frozen=True, slots=True)
class LastGood:
    """The last answer that the call itself gave for the same arguments, kept in this process.

    It is the object that the call returned, so do not change it. Arguments that cannot be hashed are not kept.

    Args:
        max_age: seconds for which an answer may stand in.
        max_entries: answers kept; the one that was not used for the longest time goes first.
        key: returns what tells calls apart, from their arguments; all arguments, if left out.
        on: for which errors.
    """

    max_age: float = 300.0
    max_entries: int = 128
    key: Callable[..., Hashable] | None = None
    on: Errors = Exception


Source = FallbackValue | FallbackFunction | LastGood


def as_source(given: object) -> Source:
    """Return a source as it is, a function as `FallbackFunction`, anything else as `FallbackValue`."""
    if isinstance(given, Source):
        return given
    return FallbackFunction(given) if callable(given) else FallbackValue(given)
