"""Schemas as JSON Schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, ClassVar, Final

import jsonschema_rs
from jsonschema_rs import EmailOptions, RegexOptions

from spanguard.errors import ConfigurationError
from spanguard.validation.inputs.collections import MAX_PROBLEMS
from spanguard.validation.problem import Path, Problem
from spanguard.validation.schema.json_shape import Shape, ShapeMaker
from spanguard.validation.schema.kinds import MISSING, NOT_A_DICT, UNKNOWN_KEY, Judgement, UnknownKeys, place_of

_MASK: Final = "the value"
_WORDS_WITH_NAMES: Final = ("properties", "dependentSchemas", "dependentRequired", "dependencies")


def compiled(schema: Any) -> jsonschema_rs.Validator:
    """Return the validator of a JSON Schema: nothing is fetched, patterns are linear in time, formats are checked."""
    return jsonschema_rs.validator_for(
        schema,
        validate_formats=True,
        ignore_unknown_formats=False,
        offline=True,
        mask=_MASK,
        pattern_options=RegexOptions(),
        email_options=EmailOptions(allow_domain_literal=False, allow_display_text=False),
    )


class JsonSchema:
    """A schema out of a JSON Schema, of the draft that its `$schema` says, or else of 2020-12.

    Args:
        schema: plain data that nobody else can change.
        unknown_keys: what becomes of keys that no part of the schema knows at their place.

    Raises:
        ConfigurationError: it is no JSON Schema, refers to something outside itself, or has a pattern that is not of
            the linear engine or a format that is not known.
    """

    judges_texts: ClassVar[bool] = False
    leaves: ClassVar[frozenset[type]] = frozenset()

    def __init__(self, schema: Any, unknown_keys: UnknownKeys) -> None:
        try:
            self._validator = compiled(schema)
            draft = _DRAFTS[jsonschema_rs.validator_cls_for(schema)]
            self._shapes = ShapeMaker(schema, draft, compiled)
        except jsonschema_rs.ValidationError as error:
            raise ConfigurationError(_refusal(error)) from None
        except (ValueError, TypeError, jsonschema_rs.ReferencingError) as error:
            raise ConfigurationError(f"schema: it is no JSON Schema: {error}.") from error
        self._unknown_keys = unknown_keys
        self.names = frozenset(_names(schema))

    def judge(self, data: Any) -> Judgement:
        """Judge data that was read before; see `Schema`."""
        errors: list[Problem] = []
        if self._unknown_keys != "keep":
            unknown = _unknown(data, self._shapes.root, self.names)
            if self._unknown_keys == "drop":
                for holder, key, _ in list(unknown):
                    del holder[key]
            else:
                errors += [UNKNOWN_KEY.below(path) for _, _, path in islice(unknown, MAX_PROBLEMS + 1)]
        if not self._validator.is_valid(data):
            for error in islice(self._validator.iter_errors(data), MAX_PROBLEMS + 1):
                errors += self._problems(error, data)
        return Judgement(data, list(dict.fromkeys(errors)), [])

    def _problems(self, error: jsonschema_rs.ValidationError, data: Any) -> Iterator[Problem]:
        word = error.kind.name
        path = tuple(error.instance_path)
        details = error.kind.as_dict()
        if word in ("additionalProperties", "unevaluatedProperties"):
            for key in details["unexpected"][: MAX_PROBLEMS + 1]:
                yield UNKNOWN_KEY.below(place_of(data, (*path, key), self.names))
        elif word == "required":
            yield MISSING.below(place_of(data, (*path, details["property"]), self.names))
        else:
            made = _PROBLEMS.get(word, _WRONG)
            problem = made if isinstance(made, Problem) else made(details)
            yield problem.below(place_of(data, path, self.names))


def _unknown(data: Any, root: Shape, names: frozenset[str]) -> Iterator[tuple[dict[str, Any], str, Path]]:
    """Yield each key that no part of the schema knows: the dictionary, the key, and the path as it is shown."""
    left: list[tuple[Any, Shape, Path]] = [(data, root, ())]
    while left:
        value, shape, path = left.pop()
        if isinstance(value, dict):
            for place, (key, item) in enumerate(value.items()):
                below = shape.of_key(key)
                if below is None:
                    yield value, key, (*path, key if key in names else place)
                elif isinstance(item, dict | list):
                    left.append((item, below, (*path, key if key in names else place)))
        elif isinstance(value, list):
            for place, item in enumerate(value):
                if isinstance(item, dict | list):
                    left.append((item, shape.of_item(), (*path, place)))


def _names(schema: Any) -> Iterator[str]:
    left = [schema]
    while left:
        node = left.pop()
        if isinstance(node, dict):
            for word in _WORDS_WITH_NAMES:
                if isinstance(names := node.get(word), dict):
                    yield from names
            if isinstance(names := node.get("required"), list):
                yield from (name for name in names if isinstance(name, str))
            left += node.values()
        elif isinstance(node, list):
            left += node


def _refusal(error: jsonschema_rs.ValidationError) -> str:
    place = "/".join(map(str, error.instance_path))
    word = str(error.instance_path[-1]) if error.instance_path else ""
    reason = error.message
    if word in ("pattern", "patternProperties") or "patternProperties" in error.instance_path[-2:-1]:
        reason = "the pattern is none of the linear engine: it may have no look-around, no references back and no huge counts"
    return f"schema: at {place or 'its top'}: {reason}."


_DRAFTS: Final[Mapping[type[Any], int]] = {
    jsonschema_rs.Draft4Validator: jsonschema_rs.Draft4,
    jsonschema_rs.Draft6Validator: jsonschema_rs.Draft6,
    jsonschema_rs.Draft7Validator: jsonschema_rs.Draft7,
    jsonschema_rs.Draft201909Validator: jsonschema_rs.Draft201909,
    jsonschema_rs.Draft202012Validator: jsonschema_rs.Draft202012,
}

_Make = Callable[[Mapping[str, Any]], Problem]
_WRONG: Final = Problem("wrong", "It is not what the schema asks for.")
_TYPES: Final[Mapping[str, Problem]] = {
    "object": NOT_A_DICT,
    "array": Problem("not_a_list", "It must be a list."),
    "string": Problem("not_a_string", "It must be text."),
    "integer": Problem("not_an_integer", "It must be a whole number."),
    "number": Problem("not_a_number", "It must be a number."),
    "boolean": Problem("not_a_boolean", "It must be true or false."),
    "null": Problem("not_null", "It must be null."),
}
_FORMATS: Final[Mapping[str, str]] = {
    "email": "not_an_email",
    "idn-email": "not_an_email",
    "uri": "not_a_url",
    "iri": "not_a_url",
    "date-time": "not_a_datetime",
    "date": "not_a_date",
    "time": "not_a_time",
    "duration": "not_a_duration",
    "uuid": "not_a_uuid",
}


def _of_type(details: Mapping[str, Any]) -> Problem:
    types = details["types"]
    if len(types) == 1:
        return _TYPES[types[0]]
    words = ", ".join(sorted(types))
    return Problem("wrong_type", f"It must be one of these types: {words}.", (), words)


def _of_format(details: Mapping[str, Any]) -> Problem:
    name = details["format"]
    return Problem(_FORMATS.get(name, "wrong_format"), f"It must be of the format {name}.", (), name)


def _options(details: Mapping[str, Any]) -> Problem:
    options = details.get("options", [details.get("expected_value")])
    words = ", ".join(map(repr, options)) if all(isinstance(o, str | int | float | None) for o in options) else ""
    if not words or len(words) > 200:  # noqa: PLR2004 - what still fits in a message
        return Problem("not_one_of", "It is none of the values that are allowed.")
    return Problem("not_one_of", f"It must be one of: {words}.", (), words)


def _limit(code: str, message: str, name: str = "limit") -> _Make:
    def make(details: Mapping[str, Any]) -> Problem:
        limit = details[name]
        limit = limit if isinstance(limit, int | float | str) else str(limit)
        return Problem(code, message.format(limit), (), limit)

    return make


_PROBLEMS: Final[Mapping[str, Problem | _Make]] = {
    "type": _of_type,
    "format": _of_format,
    "enum": _options,
    "const": _options,
    "maxLength": _limit("too_long", "It may have at most {} characters."),
    "minLength": _limit("too_short", "It must have at least {} characters."),
    "maxItems": _limit("too_many_items", "It may have at most {} items."),
    "minItems": _limit("too_few_items", "It must have at least {} items."),
    "maxProperties": _limit("too_many_items", "It may have at most {} keys."),
    "minProperties": _limit("too_few_items", "It must have at least {} keys."),
    "minimum": _limit("too_small", "It must be at least {}."),
    "exclusiveMinimum": _limit("too_small", "It must be more than {}."),
    "maximum": _limit("too_large", "It must be at most {}."),
    "exclusiveMaximum": _limit("too_large", "It must be less than {}."),
    "multipleOf": _limit("not_a_multiple", "It must be a multiple of {}.", "multiple_of"),
    "pattern": _limit("bad_pattern", "It is not of the form that is asked for.", "pattern"),
    "uniqueItems": Problem("repeated", "An item is there more than once; each may be there once."),
    "contains": Problem("too_few_items", "An item that must be there is not."),
    "additionalItems": Problem("too_many_items", "It has more items than are allowed."),
    "unevaluatedItems": Problem("too_many_items", "It has more items than are allowed."),
    "propertyNames": Problem("bad_key", "One of its keys is not of the form that is asked for."),
    "anyOf": Problem("no_alternative_fits", "It fits none of the alternatives that are allowed."),
    "oneOf": Problem("no_alternative_fits", "It must fit one of the alternatives that are allowed, and only one."),
    "not": Problem("not_allowed", "It is what the schema forbids."),
    "falseSchema": Problem("not_allowed", "Nothing is allowed here."),
}
