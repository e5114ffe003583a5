"""Lists of values, and values that may be missing."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from spanguard.validation.inputs.input_type import InputType
from spanguard.validation.inputs.options import bad_flag, bad_range, check
from spanguard.validation.inputs.string import StringType
from spanguard.validation.problem import Problem
from spanguard.validation.result import ValidationResult, accepted, refused

MAX_ITEMS: Final = 100_000
"""The most that `max_items` may be."""
MAX_PROBLEMS: Final = 100
"""After so many errors in the items of a list, the rest of the list is not looked at; of warnings as many are kept."""

_NOT_A_LIST: Final = refused(Problem("not_a_list", "It must be a list."))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListType:
    """A list or a tuple of values of one type; what comes out is a list of the clean values.

    Args:
        of: the type of the values.
        min_items: the least number of values.
        max_items: the greatest, at most `MAX_ITEMS`. Of a longer list no value is looked at.
        unique: no two clean values may be equal.

    Raises:
        ConfigurationError: an option is wrong; all that is wrong stands in the one message.
    """

    name: ClassVar[str] = "list"
    of: InputType[Any] = field(default_factory=StringType)
    min_items: int = 0
    max_items: int = 1_000
    unique: bool = False

    def __post_init__(self) -> None:
        check(self.name, self._problems())

    def _problems(self) -> Iterator[str]:
        yield from _not_a_type(self.of)
        yield from bad_range("min_items", self.min_items, "max_items", self.max_items, MAX_ITEMS)
        yield from bad_flag("unique", self.unique)

    def validate(self, value: object) -> ValidationResult[list[Any]]:
        """Judge any object; see `InputType`."""
        items = _items(value, self.max_items + 1)
        if items is None:
            return _NOT_A_LIST
        if len(items) > self.max_items:
            return refused(
                Problem("too_many_items", f"It may have at most {self.max_items} items.", (), self.max_items)
            )
        if len(items) < self.min_items:
            return refused(
                Problem("too_few_items", f"It must have at least {self.min_items} items.", (), self.min_items)
            )
        clean: list[Any] = []
        errors: list[Problem] = []
        warnings: list[Problem] = []
        for place, item in enumerate(items):
            result = self.of.validate(item)
            clean.append(result.sanitized_value)
            errors += [problem.below((place,)) for problem in result.errors]
            warnings += [problem.below((place,)) for problem in result.warnings]
            if len(errors) >= MAX_PROBLEMS:
                break
        if self.unique and not errors:
            errors += _repeated(clean)
        return refused(*errors[:MAX_PROBLEMS]) if errors else accepted(clean, tuple(warnings[:MAX_PROBLEMS]))


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionalType:
    """A value that may be missing: None is valid, and stays None.

    Args:
        of: the type of the value that is there.
        blank: an empty text, or one of white space, is a missing value too: what a form sends for an empty field.

    Raises:
        ConfigurationError: an option is wrong; all that is wrong stands in the one message.
    """

    name: ClassVar[str] = "optional"
    of: InputType[Any] = field(default_factory=StringType)
    blank: bool = False

    def __post_init__(self) -> None:
        check(self.name, self._problems())

    def _problems(self) -> Iterator[str]:
        yield from _not_a_type(self.of)
        yield from bad_flag("blank", self.blank)

    def validate(self, value: object) -> ValidationResult[Any]:
        """Judge any object; see `InputType`."""
        if value is None or (self.blank and issubclass(type(value), str) and _is_blank(str.__str__(value))):
            return accepted(None)
        return self.of.validate(value)


def _items(value: Any, limit: int) -> list[Any] | None:
    kind = type(value)
    # The built-in methods: those of a subclass are code of whoever made the value.
    if issubclass(kind, list):
        return list.__getitem__(value, slice(limit))
    if issubclass(kind, tuple):
        return [*tuple.__getitem__(value, slice(limit))]
    return None


def _repeated(values: list[Any]) -> Iterator[Problem]:
    seen: set[Hashable] = set()
    for place, value in enumerate(values):
        key = _key(value)
        if key in seen:
            yield Problem("repeated", "It is there already; each item may be there once.", (place,))
        seen.add(key)


def _key(value: Any) -> Hashable:
    if isinstance(value, list):
        return tuple([_key(item) for item in value])
    if isinstance(value, dict):
        return frozenset([(key, _key(item)) for key, item in value.items()])
    return value  # type: ignore[no-any-return]


def _is_blank(text: str) -> bool:
    return not text or text.isspace()


def _not_a_type(value: object) -> Iterator[str]:
    if isinstance(value, type) or not callable(getattr(value, "validate", None)):
        yield f"of is {value!r}; it must be a type of input, such as IntegerType(minimum=0)."
