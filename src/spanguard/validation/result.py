"""What a validation answers: never the raw value, only what is wrong with it and the clean value."""

from __future__ import annotations

import json
from typing import Any, Final, Generic, NamedTuple, TypeVar

from spanguard.validation.errors import InvalidInputError
from spanguard.validation.problem import Problem

T = TypeVar("T")


class ValidationResult(NamedTuple, Generic[T]):
    """The answer of one validation; true if the input is valid.

    Attributes:
        is_valid: whether nothing is wrong; warnings do not count.
        sanitized_value: the typed and cleaned value; None if the input is not valid.
        errors: everything that is wrong.
        warnings: what was let through, but should be known.
    """

    is_valid: bool
    sanitized_value: T | None
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    def __bool__(self) -> bool:
        return self.is_valid

    def __repr__(self) -> str:
        # A result ends in logs and tracebacks, where the value, clean or not, has no business: it may be a password.
        return (
            f"ValidationResult(is_valid={self.is_valid}, sanitized_value=<{type(self.sanitized_value).__name__}>, "
            f"errors={self.errors}, warnings={self.warnings})"
        )

    def raise_for_errors(self) -> ValidationResult[T]:
        """Return this result if the input is valid.

        Raises:
            InvalidInputError: it is not; the error names everything that is wrong.
        """
        if not self.is_valid:
            raise InvalidInputError(self.errors)
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict for a JSON answer to whoever sent the input: all but the value."""
        return {
            "is_valid": self.is_valid,
            "errors": [_to_dict(problem) for problem in self.errors],
            "warnings": [_to_dict(problem) for problem in self.warnings],
        }

    def to_json(self) -> str:
        """Return `to_dict()` as JSON."""
        return json.dumps(self.to_dict(), allow_nan=False)


def _to_dict(problem: Problem) -> dict[str, Any]:
    return {"code": problem.code, "message": problem.message, "path": list(problem.path), "limit": problem.limit}


new_result: Final = tuple.__new__
"""Makes a `ValidationResult` of its four parts, for the hottest paths: the call of `accepted` is a third of its price."""


def accepted(value: T, warnings: tuple[Problem, ...] = ()) -> ValidationResult[T]:
    """Return the result for a valid input. Faster than the class itself: the price of one counts here."""
    return new_result(ValidationResult, (True, value, (), warnings))


def refused(*errors: Problem) -> ValidationResult[Any]:
    """Return the result for an input that is not valid."""
    return ValidationResult(False, None, errors)
