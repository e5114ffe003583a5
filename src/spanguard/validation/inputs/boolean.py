"""Yes or no."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final

from spanguard.validation.inputs.options import bad_flag, check
from spanguard.validation.problem import Problem
from spanguard.validation.result import ValidationResult, accepted, refused

WORDS: Final[Mapping[str, bool]] = MappingProxyType(
    {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
)
"""The words that stand for a boolean, in small or capital letters: what forms, query strings and environments send."""

_LONGEST: Final = 16
_NOT_A_BOOLEAN: Final = refused(Problem("not_a_boolean", f"It must be true or false, or one of: {', '.join(WORDS)}."))


@dataclass(frozen=True, slots=True, kw_only=True)
class BooleanType:
    """True or False, or one of the words of `WORDS`. No number: 1 from JSON is a number, not a boolean.

    Args:
        strict: take no text.

    Raises:
        ConfigurationError: an option is wrong.
    """

    name: ClassVar[str] = "boolean"
    strict: bool = False

    def __post_init__(self) -> None:
        check(self.name, bad_flag("strict", self.strict))

    def validate(self, value: object) -> ValidationResult[bool]:
        """Judge any object; see `InputType`."""
        if value is True or value is False:
            return accepted(value)
        if not issubclass(type(value), str) or self.strict:
            return _NOT_A_BOOLEAN
        text = str.__str__(value)
        word = WORDS.get(text.strip(" \t\r\n").lower()) if len(text) <= _LONGEST else None
        return _NOT_A_BOOLEAN if word is None else accepted(word)
