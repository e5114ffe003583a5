"""Text of any kind: what it is long, made of and shaped like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, get_args

import re2

from spanguard.validation.inputs.options import bad_flag, bad_range, check, is_whole, one_of
from spanguard.validation.inputs.pattern import compiled
from spanguard.validation.inputs.threat_policy import ThreatPolicy, bad_policy
from spanguard.validation.problem import Problem
from spanguard.validation.result import ValidationResult, new_result, refused
from spanguard.validation.sanitizers.text import clean_text

MAX_LENGTH: Final = 1_000_000
"""The most that `max_length` may be, in code points."""

Charset = Literal["any", "ascii", "printable", "alphanumeric", "identifier", "digits"]

_CHARSETS: Final[Mapping[Charset, tuple[Callable[[str], bool], str]]] = MappingProxyType(
    {
        "any": (lambda _: True, "any characters"),
        "ascii": (str.isascii, "the characters of ASCII"),
        "printable": (lambda text: text.isascii() and text.isprintable(), "the printable characters of ASCII"),
        "alphanumeric": (lambda text: text.isascii() and text.isalnum(), "the letters A-Z and a-z and digits"),
        "identifier": (
            lambda text: text.isascii() and text.isidentifier(),
            "letters A-Z and a-z, digits and underscores, with no digit first",
        ),
        "digits": (lambda text: text.isascii() and text.isdigit(), "the digits 0-9"),
    }
)
_NOT_A_STRING: Final = refused(Problem("not_a_string", "It must be text."))
_NOT_UNICODE: Final = refused(Problem("not_unicode", "It holds half of a character (a lone surrogate)."))
_CLEANED: Final = (
    Problem("cleaned", "It was composed (Unicode NFC), or characters that nobody sees were taken out of it."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StringType(ThreatPolicy):
    r"""A text. It is cleaned, then stripped, then judged: what is judged is what comes out.

    Args:
        min_length: the least length in code points.
        max_length: the greatest, at most `MAX_LENGTH`. Of a text so long that cleaning cannot make it fit, nothing is
            looked at.
        max_bytes: the greatest length in bytes of UTF-8; None for no limit of its own.
        pattern: what the whole text must be like, in the syntax of RE2: without look-around and references back, and in
            return linear in the length of the text whatever the pattern.
        charset: of which characters it may be: "any", "ascii", "printable" (ASCII without controls), "alphanumeric"
            (A-Z, a-z, 0-9), "identifier" (the same and `_`, no digit first) or "digits" (0-9).
        strip: take white space off both ends.
        clean: compose it (NFC), make all line breaks `\n`, and drop controls, marks of direction, characters without a
            width and lone surrogates; a warning says so. Without it, a text with a lone surrogate is not valid.
        keep_joiners: let `clean` keep U+200C and U+200D, which Persian, languages of South Asia and many emoji need.
        threats: see `ThreatPolicy`.
        profile: see `ThreatPolicy`.
        families: see `ThreatPolicy`.

    Raises:
        ConfigurationError: an option is wrong; all that is wrong stands in the one message.
    """

    name: ClassVar[str] = "string"
    min_length: int = 0
    max_length: int = 10_000
    max_bytes: int | None = None
    pattern: str | None = None
    charset: Charset = "any"
    strip: bool = False
    clean: bool = True
    keep_joiners: bool = False
    _has_more_rules: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check(self.name, self._problems())
        has_more = not (self.max_bytes is None and self.pattern is None and self.charset == "any")
        object.__setattr__(self, "_has_more_rules", has_more)

    def _problems(self) -> Iterator[str]:
        yield from bad_range("min_length", self.min_length, "max_length", self.max_length, MAX_LENGTH)
        if self.max_bytes is not None and (not is_whole(self.max_bytes) or self.max_bytes < 0):
            yield f"max_bytes is {self.max_bytes!r}; it must be a whole number of at least 0, or None for no limit."
        yield from _bad_pattern(self.pattern)
        yield from one_of("charset", self.charset, get_args(Charset))
        yield from bad_flag("strip", self.strip)
        yield from bad_flag("clean", self.clean)
        yield from bad_flag("keep_joiners", self.keep_joiners)
        yield from bad_policy(self)

    def validate(self, value: object) -> ValidationResult[str]:
        """Judge any object; see `InputType`."""
        kind = type(value)
        if kind is str:
            text: str = value  # type: ignore[assignment]
        elif issubclass(kind, str):
            text = str.__str__(value)
        else:
            return _NOT_A_STRING
        if len(text) > self.max_length and len(text) > _room(self.max_length):
            return self._too_long()
        warnings: tuple[Problem, ...] = ()
        if not (text.isascii() and text.isprintable()):
            if not self.clean and not _is_unicode(text):
                return _NOT_UNICODE
            cleaned = clean_text(text, keep_joiners=self.keep_joiners) if self.clean else text
            if cleaned != text:
                text, warnings = cleaned, _CLEANED
        if self.strip:
            text = text.strip()
        is_long_enough = self.min_length <= len(text) <= self.max_length
        if (self._has_more_rules or not is_long_enough) and (errors := self._errors(text)):
            return refused(*errors)
        if self.threats != "off":
            return self.judged(text, warnings)
        return new_result(ValidationResult, (True, text, (), warnings))

    def _errors(self, text: str) -> list[Problem]:
        errors = []
        if len(text) > self.max_length:
            return [*self._too_long().errors]
        if len(text) < self.min_length:
            errors.append(
                Problem("too_short", f"It must have at least {self.min_length} characters.", (), self.min_length)
            )
        if self.max_bytes is not None and len(text.encode()) > self.max_bytes:
            errors.append(Problem("too_many_bytes", f"It may have at most {self.max_bytes} bytes.", (), self.max_bytes))
        if self.charset != "any" and text and not _CHARSETS[self.charset][0](text):
            errors.append(
                Problem("bad_characters", f"It may hold only {_CHARSETS[self.charset][1]}.", (), self.charset)
            )
        if self.pattern is not None and not compiled(self.pattern)(text.encode()):
            errors.append(Problem("bad_pattern", "It is not of the form that is asked for.", (), self.pattern))
        return errors

    def _too_long(self) -> ValidationResult[Any]:
        return refused(Problem("too_long", f"It may have at most {self.max_length} characters.", (), self.max_length))


def _room(length: int) -> int:
    # Three marks compose into one letter at most; blanks and unseen characters are dropped.
    return 4 * length + 256


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _bad_pattern(pattern: object) -> Iterator[str]:
    if pattern is None:
        return
    if not isinstance(pattern, str) or not _is_unicode(pattern):
        yield f"pattern is {pattern!r}; it must be text in the syntax of RE2, or None."
        return
    try:
        compiled(pattern)
    except re2.error as error:
        said = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else error
        yield f"pattern is {pattern!r}, which RE2 does not know ({said}); it has no look-around and no references back."
