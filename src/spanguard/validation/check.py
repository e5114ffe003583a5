"""One type of input, ready to be used again and again, with its signals."""

from __future__ import annotations

import os
import threading
import time
from typing import Final, Generic, TypeVar

from opentelemetry import trace

from spanguard.telemetry.counts import Cell
from spanguard.validation.inputs.input_type import InputType
from spanguard.validation.result import ValidationResult
from spanguard.validation.signals import add_span, cell_of_valid, note

SLOW: Final = 0.005
"""Seconds from which on a validation gets a span of its own."""

T = TypeVar("T")

_lock = threading.Lock()  # held for one addition; one for all
_valid: dict[str, Cell] = {}


class Check(Generic[T]):
    """Validates values of one type and counts them. Safe in threads, in asyncio and after a fork.

    Args:
        input_type: the type, with its options.
        slow: the seconds from which on a validation gets a span, if the trace around it records.
    """

    __slots__ = ("_slow", "_valid", "_validate", "input_type")

    def __init__(self, input_type: InputType[T], *, slow: float = SLOW) -> None:
        self.input_type = input_type
        self._validate = input_type.validate
        self._slow = slow
        self._valid = _cell(input_type.name)

    def validate(self, value: object) -> ValidationResult[T]:
        """Validate any object at all: raises nothing."""
        # Asked as `has_provider` does: the call alone would cost a fifth of the rest.
        is_traced = trace._TRACER_PROVIDER is not None  # noqa: SLF001
        result = self._validate_timed(value) if is_traced else self._validate(value)
        if result.is_valid and not result.warnings:
            with _lock:
                self._valid.value += 1
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


def _cell(type_name: str) -> Cell:
    # Not under the lock, which a garbage collection in the middle of making a cell could ask for again. Of two threads
    # that make one at the same time, both count: cells of equal attributes add up.
    cell = _valid.get(type_name)
    if cell is None:
        cell = _valid.setdefault(type_name, cell_of_valid(type_name, _owner))
    return cell


class _Owner:
    """What the cells belong to: they live as long as the process."""


_owner: Final = _Owner()


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it; that thread does not exist here
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)
