"""A schema as a type of input: read, then judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from spanguard.validation.inputs.collections import MAX_PROBLEMS
from spanguard.validation.problem import Problem
from spanguard.validation.result import ValidationResult
from spanguard.validation.schema.kinds import Schema
from spanguard.validation.schema.reading import Reader


@dataclass(frozen=True, slots=True)
class SchemaType:
    """Structured data by a schema; see `InputType`."""

    name: ClassVar[str] = "schema"
    schema: Schema
    reader: Reader

    def validate(self, value: object) -> ValidationResult[Any]:
        """Judge any object; see `InputType`."""
        reading = self.reader.read(value)
        if not reading.is_whole:
            return _result(None, reading.errors, reading.warnings)
        said = self.schema.judge(reading.value)
        # The schema saw None where reading refused a value; what it says of these places is about that None.
        known = {problem.path for problem in reading.errors}
        errors = reading.errors + [problem for problem in said.errors if problem.path not in known]
        return _result(said.value, errors, reading.warnings + said.warnings)


def _result(value: Any, errors: list[Problem], warnings: list[Problem]) -> ValidationResult[Any]:
    return ValidationResult(not errors, None if errors else value, _first(errors), _first(warnings))


def _first(problems: list[Problem]) -> tuple[Problem, ...]:
    if len(problems) <= MAX_PROBLEMS:
        return tuple(problems)
    more = Problem("more_problems", f"There are more; the first {MAX_PROBLEMS} are shown.", (), MAX_PROBLEMS)
    return (*problems[:MAX_PROBLEMS], more)
