"""Read an input of any shape once, before a schema sees it: bounded, without recursion, into plain dicts and lists."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import timezone
from types import NoneType
from typing import Any, Final, NamedTuple, NoReturn
from zoneinfo import ZoneInfo

from spanguard.validation.inputs.collections import MAX_PROBLEMS
from spanguard.validation.inputs.number import MAX_DIGITS
from spanguard.validation.problem import Path, Problem
from spanguard.validation.result import ValidationResult
from spanguard.validation.sanitizers.text import clean_text
from spanguard.validation.schema.texts import ANY_ITEM, Branch, Texts

_MAX_BITS: Final = int(MAX_DIGITS * math.log2(10))
_ZONES: Final = (NoneType, timezone, ZoneInfo)  # any other is code of somebody's
_NOT_FINITE: Final = Problem("not_finite", "It must be a number that is finite.")
_TOO_LARGE: Final = Problem("too_large", f"A whole number may have at most {MAX_DIGITS} digits.", (), MAX_DIGITS)
_UNSUPPORTED: Final = Problem("unsupported_type", "It must be a dictionary, a list, text, a number, a boolean or null.")
_KEY_NOT_TEXT: Final = Problem("key_not_text", "A key of a dictionary must be text.")
_DUPLICATE_KEY: Final = Problem(
    "duplicate_key", "Another key of the dictionary is the same but for characters that are not seen."
)


_HARMLESS: Final[ValidationResult[Any]] = ValidationResult(True, None)


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that is read of one input."""

    max_depth: int
    max_items: int
    max_characters: int


class Reading(NamedTuple):
    """An input as plain data, and what was wrong with it on the way.

    Attributes:
        value: exact dicts, lists, strings and numbers; None in place of a value that is none of these.
        errors: what no schema can mend.
        warnings: what was let through.
        is_whole: whether a schema can judge the value; if not, a limit was passed, a key could not be
            taken, or there are more errors than will be told.
    """

    value: Any
    errors: list[Problem]
    warnings: list[Problem]
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Reader:
    """How inputs are read.

    Args:
        limits: where reading stops.
        names: the keys that the schema names. Any other is raw input: a path shows its place instead.
        texts: how strings are cleaned and looked at for threats; None to leave all values as they are, for a schema
            whose types do that.
        leaves: the types that are taken besides those of JSON; they must be immutable and without code of a user's.
    """

    limits: Limits
    names: Collection[str]
    texts: Texts | None = None
    leaves: frozenset[type] = frozenset()

    def read(self, data: object) -> Reading:
        """Read any object at all. Raises nothing; time and memory are linear in the input up to the limits."""
        walk = _Walk(self)
        try:
            value = walk.copied(data)
        except _Stopped:
            return Reading(None, walk.errors, walk.warnings, is_whole=False)
        return Reading(value, walk.errors, walk.warnings, walk.is_whole)

    def judged_key(self, key: str) -> ValidationResult[Any]:
        """Return what is to be said of a key. One that the schema names, or a plain word, is no attack of any kind."""
        if self.texts is None or key in self.names or key.isidentifier():
            return _HARMLESS
        return self.texts.default.validate(key)


class _Stopped(Exception):  # noqa: N818 - it ends a walk and never leaves this module
    """A limit was passed, or there are more errors than will be told."""


class _Level(NamedTuple):
    """A container that is being copied."""

    left: Iterator[tuple[Any, Any]]
    """What is still to be copied: (place, value) of a list, (place, (key, value)) of a dictionary."""
    target: Any
    path: Path
    branch: Branch | None
    """The fields from here on that have a type of text of their own."""


@dataclass(slots=True)
class _Walk:
    reader: Reader
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    is_whole: bool = True
    items: int = 0
    characters: int = 0

    def copied(self, data: object) -> Any:
        top: list[Any] = []
        root = Branch(below={ANY_ITEM: self.reader.texts.fields}) if self.reader.texts else None
        stack = [_Level(iter([(0, data)]), top, (), root)]
        while stack:
            level = stack[-1]
            is_dict = type(level.target) is dict
            for place, item in level.left:
                if is_dict:
                    key, value = self._key(item, place, level)
                    if key is None:
                        continue
                    part: str | int = key if key in self.reader.names else place
                else:
                    key, value, part = ANY_ITEM, item, place
                path = (*level.path, part) if len(stack) > 1 else ()
                branch = level.branch.step(key) if level.branch is not None else None
                kind = type(value)
                if issubclass(kind, dict | list | tuple):
                    below = self._opened(value, path, branch, depth=len(stack))
                    _put(level.target, key, below.target)
                    stack.append(below)
                    break
                _put(level.target, key, self._leaf(value, kind, path, branch))
            else:
                stack.pop()
        return top[0]

    def _opened(self, value: Any, path: Path, branch: Branch | None, *, depth: int) -> _Level:
        limits = self.reader.limits
        if depth > limits.max_depth:
            message = f"It is nested more than {limits.max_depth} levels deep, or contains itself."
            self._stop(Problem("too_deep", message, path, limits.max_depth))
        # The methods of the built-in class, whatever a subclass says: no code of the input's runs.
        kind: Any = next(base for base in (dict, list, tuple) if issubclass(type(value), base))
        self.items += kind.__len__(value)
        if self.items > limits.max_items:
            message = f"There are more than {limits.max_items} items in all."
            self._stop(Problem("too_many_items", message, (), limits.max_items))
        if kind is dict:
            return _Level(enumerate(list(dict.items(value))), {}, path, branch)
        return _Level(enumerate(kind.__getitem__(value, slice(None))), [], path, branch)

    def _key(self, item: tuple[object, Any], place: int, level: _Level) -> tuple[str | None, Any]:
        raw, value = item
        if not issubclass(type(raw), str):
            return self._bad_key(_KEY_NOT_TEXT, place, level)
        key = clean_text(self._counted(raw, (*level.path, place)))
        if key in level.target:
            return self._bad_key(_DUPLICATE_KEY, place, level)
        self._note(self.reader.judged_key(key), (*level.path, place))
        return key, value

    def _bad_key(self, problem: Problem, place: int, level: _Level) -> tuple[None, None]:
        self.is_whole = False
        self._refused(problem, (*level.path, place))
        return None, None

    def _leaf(self, value: Any, kind: type, path: Path, branch: Branch | None) -> Any:
        if issubclass(kind, str):
            text = self._counted(value, path)
            texts = self.reader.texts
            return self._note(texts.judged(text, branch), path) if texts else text
        if value is None or kind is bool or not self.reader.texts:
            return value
        if issubclass(kind, int):
            number = int.__int__(value)
            return number if number.bit_length() <= _MAX_BITS else self._refused(_TOO_LARGE, path)
        if issubclass(kind, float):
            real = float.__float__(value)
            return real if math.isfinite(real) else self._refused(_NOT_FINITE, path)
        if kind in self.reader.leaves and type(getattr(value, "tzinfo", None)) in _ZONES:
            return value
        return self._refused(_UNSUPPORTED, path)

    def _counted(self, text: Any, path: Path) -> str:
        most = self.reader.limits.max_characters
        self.characters += str.__len__(text)
        if self.characters > most:
            self._stop(Problem("too_long", f"All text together may have {most} characters.", path, most))
        return str.__str__(text)

    def _note(self, result: ValidationResult[Any], path: Path) -> Any:
        for problem in result.errors:
            self._refused(problem, path)
        if len(self.warnings) <= MAX_PROBLEMS:
            self.warnings += [problem.below(path) for problem in result.warnings]
        return result.sanitized_value

    def _refused(self, problem: Problem, path: Path) -> None:
        self.errors.append(problem.below(path))
        if len(self.errors) > MAX_PROBLEMS:
            raise _Stopped

    def _stop(self, problem: Problem) -> NoReturn:
        self.errors.append(problem)
        raise _Stopped


def _put(target: Any, key: str, value: Any) -> None:
    if type(target) is dict:
        target[key] = value
    else:
        target.append(value)
