"""One type of input, ready to be used again and again, with its signals."""

from __future__ import annotations

import time
from typing import Final, Generic, TypeVar

from opentelemetry import trace

from spanguard.telemetry.counts import Tally
from spanguard.validation.inputs.input_type import InputType
from spanguard.validation.result import ValidationResult
from spanguard.validation.signals import add_span, note, tally_of_valid

SLOW: Final = 0.005
"""Seconds from which on a validation gets a span of its own."""

T = TypeVar("T")

_valid: dict[str, Tally] = {}


class Check(Generic[T]):
    """Validates values of one type and counts them. Safe in threads, in asyncio and after a fork.

    Args:
        input_type: the type, with its options.
        slow: the seconds from which on a validation gets a span, if the trace around it records.
    """

    __slots__ = ("_count_valid", "_slow", "_validate", "input_type")

    def __init__(self, input_type: InputType[T], *, slow: float = SLOW) -> None:
        self.input_type = input_type
        self._validate = input_type.validate
        self._slow = slow
        self._count_valid = _tally(input_type.name).bump

    def validate(self, value: object) -> ValidationResult[T]:
        """Validate any object at all: raises nothing."""
        # Asked as `has_provider` does: the call alone would cost a fifth of the rest.
        is_traced = trace._TRACER_PROVIDER is not None  # noqa: SLF001
        result = self._validate_timed(value) if is_traced else self._validate(value)
        if result.is_valid and not result.warnings:
            self._count_valid()
        else:
            note(self.input_type.name, result)
        return result

    def _validate_timed(self, value: object) -> ValidationResult[T]:
        start = time.perf_counter()
        result = self._validate(value)
        seconds = time.perf_counter() - start
        if seconds >= self._slow:
            add_span(self.input_type.name, result, seconds)
        return result

    def __repr__(self) -> str:
        return f"Check({self.input_type!r}, slow={self._slow})"


def _tally(type_name: str) -> Tally:
    # Of two threads that make one at the same time, both count: what has equal attributes adds up.
    tally = _valid.get(type_name)
    if tally is None:
        tally = _valid.setdefault(type_name, tally_of_valid(type_name, _owner))
    return tally


class _Owner:
    """What the tallies belong to: they live as long as the process."""


_owner: Final = _Owner()
