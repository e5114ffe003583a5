"""What the validation raises, and only where it is asked to."""

from __future__ import annotations

from spanguard.errors import SpanguardError, notes_of
from spanguard.validation.problem import Problem


class InvalidInputError(SpanguardError, ValueError):
    """An input was refused; raised by `ValidationResult.raise_for_errors()` and `resolve_public` alone.

    The message names codes, places and limits, never the value.

    Attributes:
        errors: what is wrong with the input, each with its code, path, message and limit.
    """

    def __init__(self, errors: tuple[Problem, ...]) -> None:
        self.errors = errors
        super().__init__("; ".join(str(problem) for problem in errors))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.errors,), notes_of(self)
