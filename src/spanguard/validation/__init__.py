"""Validation and sanitising."""

from spanguard.validation.errors import InvalidInputError
from spanguard.validation.result import Problem, ValidationResult

__all__ = ["InvalidInputError", "Problem", "ValidationResult"]
