"""Moments in time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from spanguard.validation.inputs.options import bad_flag, check
from spanguard.validation.problem import Problem
from spanguard.validation.result import ValidationResult, accepted, refused

_LONGEST: Final = 64
_FORM: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ]((?:[01]\d|2[0-3]):\d\d(?::\d\d(?:[.,]\d{1,9})?)?)(Z|[+-](?:[01]\d|2[0-3]):?[0-5]\d)?",
    re.ASCII,
)
_NOT_A_DATETIME: Final = refused(
    Problem("not_a_datetime", "It must be a date and a time in ISO 8601, such as 2026-01-31T12:00:00Z.")
)
_NO_OFFSET: Final = refused(
    Problem("no_offset", "It must say its offset from UTC: Z or +01:00 at its end, as in 2026-01-31T12:00:00Z.")
)
_HAS_OFFSET: Final = refused(Problem("has_offset", "It must be a local time, without an offset from UTC."))


@dataclass(frozen=True, slots=True, kw_only=True)
class DatetimeType:
    """A date with a time: a `datetime`, or text in ISO 8601 as RFC 3339 has it, with hyphens and colons.

    A blank for the T, no seconds, a comma before the fraction and an offset without a colon are taken as well. Digits of
    a fraction beyond microseconds are dropped. No number of seconds, no date alone, no week dates, no leap second.

    Args:
        aware: True asks for an offset from UTC, False refuses one.
        minimum: the earliest moment, aware as the values are; None for no limit.
        maximum: the latest; None for no limit.
        to_utc: give the moment in UTC, whatever its offset.
        strict: take no text.

    Raises:
        ConfigurationError: an option is wrong; all that is wrong stands in the one message.
    """

    name: ClassVar[str] = "datetime"
    aware: bool = True
    minimum: datetime | None = None
    maximum: datetime | None = None
    to_utc: bool = False
    strict: bool = False

    def __post_init__(self) -> None:
        check(self.name, self._problems())

    def _problems(self) -> Iterator[str]:
        for name in ("aware", "to_utc", "strict"):
            yield from bad_flag(name, getattr(self, name))
        if self.to_utc is True and self.aware is False:
            yield "to_utc is True, but aware is False, so there is no offset to reckon with; change one of them."
        for name in ("minimum", "maximum"):
            value = getattr(self, name)
            if value is None:
                continue
            if not isinstance(value, datetime):
                yield f"{name} is {value!r}; it must be a datetime, or None for no limit."
                return
            if (value.utcoffset() is not None) is not self.aware:
                yield f"{name} is {value!r}; it must be {'aware' if self.aware else 'naive'}, as the values are."
                return
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            yield f"minimum is {self.minimum}, after maximum, which is {self.maximum}; swap or change them."

    def validate(self, value: object) -> ValidationResult[datetime]:
        """Judge any object; see `InputType`."""
        kind = type(value)
        if issubclass(kind, str) and not self.strict:
            moment = _parsed(str.__str__(value))
        elif issubclass(kind, datetime):
            moment = _plain(value)
        else:
            moment = None
        if moment is None:
            return _NOT_A_DATETIME
        try:
            return self._judged(moment)
        except Exception:  # noqa: BLE001 - a time zone is code of whoever made the value
            return _NOT_A_DATETIME

    def _judged(self, moment: datetime) -> ValidationResult[datetime]:
        is_aware = moment.utcoffset() is not None
        if is_aware is not self.aware:
            return _HAS_OFFSET if is_aware else _NO_OFFSET
        if self.to_utc:
            moment = moment.astimezone(UTC)
        if self.minimum is not None and moment < self.minimum:
            return _outside("too_early", "at the earliest", self.minimum)
        if self.maximum is not None and moment > self.maximum:
            return _outside("too_late", "at the latest", self.maximum)
        return accepted(moment)


def _parsed(text: str) -> datetime | None:
    match = _FORM.fullmatch(text.strip(" \t\r\n").upper()) if len(text) <= _LONGEST else None
    if match is None:
        return None
    try:
        return datetime.fromisoformat(f"{match[1]}T{match[2]}{match[3] or ''}")
    except ValueError:
        return None


def _plain(value: Any) -> datetime | None:
    """Return a moment without the class of its own that it may have, whose methods are code of whoever made it."""
    try:
        return datetime.combine(datetime.date(value), datetime.timetz(value))
    except Exception:  # noqa: BLE001 - as above
        return None


def _outside(code: str, words: str, limit: datetime) -> ValidationResult[Any]:
    said = limit.isoformat()
    return refused(Problem(code, f"It must be {words} {said}.", (), said))
