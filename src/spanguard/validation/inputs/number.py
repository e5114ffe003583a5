"""Numbers, from numbers or from their plain decimal text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from spanguard.validation.inputs.options import bad_flag, check, is_whole
from spanguard.validation.problem import Problem
from spanguard.validation.result import ValidationResult, accepted, new_result, refused

MAX_DIGITS: Final = 1_000
"""Characters of a text that may be a number. To read one costs the square of its length."""

_BLANKS: Final = " \t\r\n"
_NOT_AN_INTEGER: Final = refused(
    Problem("not_an_integer", "It must be a whole number, in decimal digits with at most a sign before them.")
)
_NOT_A_NUMBER: Final = refused(Problem("not_a_number", "It must be a number, in decimal digits, such as 12.5 or 1e6."))
_TOO_MANY_DIGITS: Final = refused(
    Problem("too_long", f"A number may have at most {MAX_DIGITS} characters.", (), MAX_DIGITS)
)
_NOT_FINITE: Final = refused(Problem("not_finite", "It must be a number that is finite."))


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerType:
    """A whole number: an int or its decimal text, `" +42 "`. No bool, no float, no `1_000`, no `4.0`, no other digits.

    Args:
        minimum: the least value; None for no limit.
        maximum: the greatest value; None for no limit.
        strict: take no text.

    Raises:
        ConfigurationError: an option is wrong; all that is wrong stands in the one message.
    """

    name: ClassVar[str] = "integer"
    minimum: int | None = None
    maximum: int | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        check(self.name, self._problems())

    def _problems(self) -> Iterator[str]:
        for name in ("minimum", "maximum"):
            if (value := getattr(self, name)) is not None and not is_whole(value):
                yield f"{name} is {value!r}; it must be a whole number, or None for no limit."
                return
        yield from _crossed(self.minimum, self.maximum)
        yield from bad_flag("strict", self.strict)

    def validate(self, value: object) -> ValidationResult[int]:
        """Judge any object; see `InputType`."""
        kind = type(value)
        if kind is int:
            number: int = value  # type: ignore[assignment]
        elif (kind is str or issubclass(kind, str)) and not self.strict:
            text: str = value if kind is str else str.__str__(value)  # type: ignore[assignment]
            if len(text) > MAX_DIGITS:
                return _TOO_MANY_DIGITS
            if not (text.isdigit() and text.isascii()):
                text = text.strip(_BLANKS)
                if not (text.isascii() and text.removeprefix("-" if text[:1] == "-" else "+").isdigit()):
                    return _NOT_AN_INTEGER
            number = int(text)
        elif issubclass(kind, int) and kind is not bool:
            number = int.__int__(value)  # type: ignore[arg-type]
        else:
            return _NOT_AN_INTEGER
        if self.minimum is not None and number < self.minimum:
            return _too_small(self.minimum)
        if self.maximum is not None and number > self.maximum:
            return _too_large(self.maximum)
        return new_result(ValidationResult, (True, number, (), ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatType:
    """A number: a float, an int or decimal text, `"12.5"`, `"-1e6"`. No bool, no `1_000`, no hexadecimal.

    Args:
        minimum: the least value; None for no limit.
        maximum: the greatest value; None for no limit.
        allow_nan: take NaN, which is below and above no limit, so only where there is none.
        allow_infinity: take the infinities, and text too large for a float as one.
        strict: take no text.

    Raises:
        ConfigurationError: an option is wrong; all that is wrong stands in the one message.
    """

    name: ClassVar[str] = "float"
    minimum: float | None = None
    maximum: float | None = None
    allow_nan: bool = False
    allow_infinity: bool = False
    strict: bool = False

    def __post_init__(self) -> None:
        check(self.name, self._problems())

    def _problems(self) -> Iterator[str]:
        for name in ("minimum", "maximum"):
            if (value := getattr(self, name)) is not None and not _is_limit(value):
                yield f"{name} is {value!r}; it must be a finite number, or None for no limit."
                return
        yield from _crossed(self.minimum, self.maximum)
        for name in ("allow_nan", "allow_infinity", "strict"):
            yield from bad_flag(name, getattr(self, name))
        if self.allow_nan is True and (self.minimum is not None or self.maximum is not None):
            yield "allow_nan is True, but NaN is within no limits; leave out minimum and maximum, or allow_nan."

    def validate(self, value: object) -> ValidationResult[float]:
        """Judge any object; see `InputType`."""
        kind = type(value)
        if kind is float:
            number: float = value  # type: ignore[assignment]
        elif issubclass(kind, float):
            number = float.__float__(value)  # type: ignore[arg-type]
        elif issubclass(kind, int) and kind is not bool:
            try:
                number = int.__float__(value)  # type: ignore[arg-type]
            except OverflowError:
                return _NOT_FINITE
        elif issubclass(kind, str) and not self.strict:
            text = str.__str__(value)
            if len(text) > MAX_DIGITS:
                return _TOO_MANY_DIGITS
            if not text.isascii() or "_" in text:
                return _NOT_A_NUMBER
            try:
                number = float(text.strip(_BLANKS))
            except ValueError:
                return _NOT_A_NUMBER
        else:
            return _NOT_A_NUMBER
        return self._within_limits(number)

    def _within_limits(self, number: float) -> ValidationResult[float]:
        if math.isnan(number):
            return accepted(number) if self.allow_nan else _NOT_FINITE
        if math.isinf(number) and not self.allow_infinity:
            return _NOT_FINITE
        if self.minimum is not None and number < self.minimum:
            return _too_small(self.minimum)
        if self.maximum is not None and number > self.maximum:
            return _too_large(self.maximum)
        return accepted(number)


def _too_small(least: float) -> ValidationResult[Any]:
    return refused(Problem("too_small", f"It must be at least {least}.", (), least))


def _too_large(most: float) -> ValidationResult[Any]:
    return refused(Problem("too_large", f"It must be at most {most}.", (), most))


def _is_limit(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -math.inf < value < math.inf


def _crossed(least: float | None, most: float | None) -> Iterator[str]:
    if least is not None and most is not None and least > most:
        yield f"minimum is {least}, above maximum, which is {most}; swap or change them."
