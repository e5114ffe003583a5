"""The seam between the types of input and what puts them together: lists, optional values, schemas, the validator."""

from __future__ import annotations

from typing import Protocol, TypeVar

from spanguard.validation.result import ValidationResult

T = TypeVar("T")


class InputType(Protocol[T]):
    """One type of input with its options. Pure: it sends no signal and keeps no value; safe in threads and after a fork."""

    @property
    def name(self) -> str:
        """The word for it in `input_type=` and in the signals: `string`, `email`, `list`."""

    def validate(self, value: object) -> ValidationResult[T]:
        """Judge any object at all. Raises nothing, in time linear in its size up to the documented cap.

        The paths in the result begin at this value; who holds it in a list or a dictionary puts its place before them
        (`Problem.below`).
        """
