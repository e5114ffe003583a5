"""Schemas as a pydantic model or a TypedDict."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final, Literal

from pydantic import PydanticUndefinedAnnotation, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from spanguard.errors import ConfigurationError
from spanguard.validation.inputs.collections import MAX_PROBLEMS
from spanguard.validation.problem import Problem
from spanguard.validation.schema.kinds import MISSING, NOT_A_DICT, UNKNOWN_KEY, Judgement, UnknownKeys, place_of

_EXTRA: Final[Mapping[UnknownKeys, Literal["forbid", "ignore", "allow"]]] = {
    "forbid": "forbid",
    "drop": "ignore",
    "keep": "allow",
}
_Make = Callable[[Mapping[str, Any]], Problem]


class ModelSchema:
    """A schema out of what pydantic knows: a model or a TypedDict.

    Args:
        of: the model or the TypedDict.
        unknown_keys: what becomes of other keys, at any depth, whatever the model's own configuration says.

    Raises:
        ConfigurationError: pydantic cannot make a schema of it, or it uses patterns that are not linear in time.
    """

    judges_texts: ClassVar[bool] = False
    leaves: ClassVar[frozenset[type]] = frozenset({dt.datetime, dt.date, dt.time, dt.timedelta, uuid.UUID})

    def __init__(self, of: type[Any], unknown_keys: UnknownKeys) -> None:
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(of)
            self._adapter.rebuild(raise_errors=True)
            core: Any = self._adapter.core_schema
        except (PydanticUserError, PydanticUndefinedAnnotation) as error:
            raise ConfigurationError(f"schema: pydantic refuses {of.__name__}: {error.message}") from error
        names: set[str] = set()
        problems: list[str] = []
        for node in _nodes(core):
            names.update(_named(node))
            problems += _slow_patterns(node)
        if problems:
            raise ConfigurationError([f"schema: {of.__name__}: {problem}" for problem in dict.fromkeys(problems)])
        self.names = frozenset(names)
        self._extra = _EXTRA[unknown_keys]

    def judge(self, data: Any) -> Judgement:
        """Judge data that was read before; see `Schema`."""
        try:
            return Judgement(self._adapter.validate_python(data, extra=self._extra), [], [])
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)[: MAX_PROBLEMS + 1]
        return Judgement(
            None, [_problem(detail).below(place_of(data, detail["loc"], self.names)) for detail in found], []
        )


def _nodes(core: Any) -> Iterator[dict[str, Any]]:
    left: list[Any] = [core]
    while left:
        node = left.pop()
        if isinstance(node, dict):
            yield node
            # What hangs on a schema for other readers is no part of it, and may be any object.
            left += [value for key, value in node.items() if key != "metadata"]
        elif isinstance(node, list | tuple):
            left += node


def _named(node: dict[str, Any]) -> Iterator[str]:
    fields = node.get("fields")
    if node.get("type") in ("model-fields", "typed-dict") and isinstance(fields, dict):
        yield from fields
    elif isinstance(fields, list):
        yield from (field["name"] for field in fields if isinstance(field, dict) and isinstance(field.get("name"), str))
    left = [node.get("validation_alias"), node.get("discriminator")]
    while left:
        alias = left.pop()
        if isinstance(alias, str):
            yield alias
        elif isinstance(alias, list):
            left += alias


def _slow_patterns(node: dict[str, Any]) -> Iterator[str]:
    config = node.get("config")
    if "python-re" in (node.get("regex_engine"), config.get("regex_engine") if isinstance(config, dict) else None):
        yield "regex_engine is 'python-re', which may need exponential time; use 'rust-regex', pydantic's own default."
    if node.get("type") == "str" and isinstance(node.get("pattern"), re.Pattern):
        yield "a pattern is compiled with `re`, which may need exponential time; give it as text."


def _problem(detail: ErrorDetails) -> Problem:
    made = _PROBLEMS.get(detail["type"])
    if isinstance(made, Problem):
        return made
    if made is not None:
        return made(detail.get("ctx", {}))
    if detail["type"] in ("value_error", "assertion_error"):
        return _REFUSED
    return _WRONG


_REFUSED: Final = Problem("refused", "A check of the schema refuses it.")
_WRONG: Final = Problem("wrong", "It is not what the schema asks for.")


def _limit(code: str, name: str, message: str) -> _Make:
    def make(context: Mapping[str, Any]) -> Problem:
        limit = context.get(name)
        limit = limit if isinstance(limit, int | float | str) else str(limit)
        return Problem(code, message.format(limit), (), limit)

    return make


_PROBLEMS: Final[Mapping[str, Problem | _Make]] = {
    "missing": MISSING,
    "extra_forbidden": UNKNOWN_KEY,
    **dict.fromkeys(("model_type", "dict_type", "dataclass_type", "mapping_type", "model_attributes_type"), NOT_A_DICT),
    **dict.fromkeys(
        ("list_type", "tuple_type", "set_type", "frozen_set_type", "deque_type", "iterable_type"),
        Problem("not_a_list", "It must be a list."),
    ),
    **dict.fromkeys(
        ("int_type", "int_parsing", "int_from_float"), Problem("not_an_integer", "It must be a whole number.")
    ),
    "int_parsing_size": Problem("too_long", "A number has too many digits."),
    **dict.fromkeys(
        ("float_type", "float_parsing", "decimal_type", "decimal_parsing"),
        Problem("not_a_number", "It must be a number."),
    ),
    "finite_number": Problem("not_finite", "It must be a number that is finite."),
    **dict.fromkeys(("bool_type", "bool_parsing"), Problem("not_a_boolean", "It must be true or false.")),
    "string_type": Problem("not_a_string", "It must be text."),
    **dict.fromkeys(
        ("datetime_type", "datetime_parsing", "datetime_object_invalid", "datetime_from_date_parsing"),
        Problem("not_a_datetime", "It must be a date and a time in ISO 8601, such as 2026-01-31T12:00:00Z."),
    ),
    **dict.fromkeys(
        ("date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"),
        Problem("not_a_date", "It must be a date in ISO 8601, such as 2026-01-31."),
    ),
    **dict.fromkeys(
        ("time_type", "time_parsing"), Problem("not_a_time", "It must be a time in ISO 8601, such as 12:00:00.")
    ),
    **dict.fromkeys(
        ("time_delta_type", "time_delta_parsing"),
        Problem("not_a_duration", "It must be a duration in ISO 8601, such as PT5M."),
    ),
    **dict.fromkeys(("date_past", "datetime_past"), Problem("too_large", "It must be in the past.")),
    **dict.fromkeys(("date_future", "datetime_future"), Problem("too_small", "It must be in the future.")),
    **dict.fromkeys(
        ("timezone_aware",), Problem("no_offset", "It must say its offset from UTC: Z or +01:00 at its end.")
    ),
    "timezone_naive": Problem("has_offset", "It must be a local time, without an offset from UTC."),
    **dict.fromkeys(("uuid_type", "uuid_parsing", "uuid_version"), Problem("not_a_uuid", "It must be a UUID.")),
    **dict.fromkeys(
        ("url_type", "url_parsing", "url_syntax_violation"),
        Problem("not_a_url", "It must be a whole URL with a scheme and a host, such as https://example.com/page."),
    ),
    "url_scheme": _limit("scheme_not_allowed", "expected_schemes", "Its scheme must be {}."),
    "url_too_long": _limit("too_long", "max_length", "It may have at most {} characters."),
    "none_required": Problem("not_null", "It must be null."),
    "greater_than": _limit("too_small", "gt", "It must be more than {}."),
    "greater_than_equal": _limit("too_small", "ge", "It must be at least {}."),
    "less_than": _limit("too_large", "lt", "It must be less than {}."),
    "less_than_equal": _limit("too_large", "le", "It must be at most {}."),
    "multiple_of": _limit("not_a_multiple", "multiple_of", "It must be a multiple of {}."),
    "string_too_short": _limit("too_short", "min_length", "It must have at least {} characters."),
    "string_too_long": _limit("too_long", "max_length", "It may have at most {} characters."),
    "bytes_too_short": _limit("too_few_bytes", "min_length", "It must have at least {} bytes."),
    "bytes_too_long": _limit("too_many_bytes", "max_length", "It may have at most {} bytes."),
    "too_short": _limit("too_few_items", "min_length", "It must have at least {} items."),
    "too_long": _limit("too_many_items", "max_length", "It may have at most {} items."),
    "string_pattern_mismatch": _limit("bad_pattern", "pattern", "It is not of the form that is asked for."),
    "string_not_ascii": Problem("bad_characters", "It may hold only the characters of ASCII."),
    "literal_error": _limit("not_one_of", "expected", "It must be {}."),
    "enum": _limit("not_one_of", "expected", "It must be {}."),
    "union_tag_invalid": _limit("not_one_of", "expected_tags", "What it says it is must be one of: {}."),
    "union_tag_not_found": Problem("missing", "It does not say which of the known kinds it is."),
}
