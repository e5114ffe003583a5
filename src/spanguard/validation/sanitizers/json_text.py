"""JSON from strangers: read within limits, and only if all readers would read the same."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

from spanguard.validation.problem import Problem
from spanguard.validation.result import ValidationResult
from spanguard.validation.sanitizers.text import beginning, clean_text

MAX_JSON: Final = 1_000_000
"""Characters of a JSON text that are read."""

MAX_JSON_DEPTH: Final = 64
"""Lists and objects one within the other."""

UNSAFE_KEYS: Final = frozenset({"__proto__", "constructor", "prototype"})
"""Keys that change the prototype of objects when a program in JavaScript copies them carelessly."""

_LARGEST = 2**63 - 1  # what a database and most languages hold; JavaScript is exact up to 2^53 - 1 only
_LONGEST_NUMBER = 400
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKETS = re.compile(r"[\[{]+|[\]}]+")
_IN_A_PAGE = {ord(char): f"\\u{ord(char):04x}" for char in "<>&"}


class _RefusedError(Exception):
    def __init__(self, code: str, message: str, limit: int | None = None) -> None:
        self.problem = Problem(code, message, (), limit)
        super().__init__(message)


def read_json(text: str, *, max_length: int = MAX_JSON, max_depth: int = MAX_JSON_DEPTH) -> ValidationResult[Any]:
    """Read a JSON text (RFC 8259) into plain values. Raises nothing, and does not recurse.

    Refused are: what is not a string, too long, too deep or not JSON, NaN and infinities in any spelling, whole numbers
    beyond 64 bits with a sign, and keys that come twice in one object, also if only cleaning makes them equal. Strings and
    keys are cleaned as `clean_text` does. The keys `__proto__`, `constructor` and `prototype` are dropped, with a warning.
    """
    if not issubclass(type(text), str):
        return _refusal(Problem("wrong_type", "It must be a text."))
    if str.__len__(text) > max_length:
        return _refusal(Problem("too_long", f"It must have at most {max_length} characters.", (), max_length))
    plain = beginning(text, max_length).removeprefix("\ufeff")
    if _depth(plain) > max_depth:
        return _refusal(Problem("too_deep", f"It must be at most {max_depth} levels deep.", (), max_depth))
    dropped: list[str] = []

    def to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        clean = {clean_text(key): _clean(value) for key, value in pairs}
        if len(clean) != len(pairs):
            raise _RefusedError("duplicate_key", "A key must come only once in an object.")
        for key in UNSAFE_KEYS & clean.keys():
            del clean[key]
            dropped.append(key)
        return clean

    try:
        value = json.loads(
            plain, object_pairs_hook=to_object, parse_int=_whole, parse_float=_float, parse_constant=_constant
        )
    except _RefusedError as refused:
        return _refusal(refused.problem)
    except ValueError:
        return _refusal(Problem("not_json", "It must be a JSON text (RFC 8259)."))
    warnings = tuple(
        Problem("unsafe_key", f"The key {key!r} was dropped: it can change what all objects are made of in JavaScript.")
        for key in sorted(set(dropped))
    )
    return ValidationResult(True, _clean(value), (), warnings)


def clean_json(text: str, *, max_length: int = MAX_JSON, max_depth: int = MAX_JSON_DEPTH) -> str:
    r"""Return the JSON text written anew from what `read_json` reads; "null" where it refuses.

    Compact, and safe inside a `<script type="application/json">`: `<`, `>` and `&` are written `\u003c` and so on.
    Cleaning twice changes nothing more. Raises nothing.
    """
    result = read_json(text, max_length=max_length, max_depth=max_depth)
    if not result.is_valid:
        return "null"
    written = json.dumps(result.sanitized_value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    written = written.translate(_IN_A_PAGE)
    return written if len(written) <= max_length else "null"


def _refusal(problem: Problem) -> ValidationResult[Any]:
    return ValidationResult(False, None, (problem,))


def _depth(text: str) -> int:
    depth = deepest = 0
    for brackets in _BRACKETS.findall(_STRING.sub("", text)):
        depth += len(brackets) if brackets[0] in "[{" else -len(brackets)
        deepest = max(deepest, depth)
    return deepest


def _clean(value: Any) -> Any:
    """Clean the strings of a value; objects are clean since they were made."""
    if type(value) is str:
        return clean_text(value)
    if type(value) is list:
        return [_clean(item) for item in value]
    return value


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER or abs(int(digits)) > _LARGEST:
        raise _RefusedError("too_large", f"A whole number must be from {-_LARGEST} to {_LARGEST}.", _LARGEST)
    return int(digits)


def _float(digits: str) -> float:
    if len(digits) > _LONGEST_NUMBER or math.isinf(number := float(digits)):
        raise _RefusedError("too_large", "A number must fit into a double of 64 bits (IEEE 754).")
    return number


def _constant(_name: str) -> float:
    raise _RefusedError("not_json", "NaN and infinities are not JSON.")
