"""Validate structured data against a schema of any of four kinds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel

from spanguard.errors import ConfigurationError
from spanguard.validation.check import SLOW, Check
from spanguard.validation.inputs.options import bad_seconds, is_whole, one_of
from spanguard.validation.inputs.string import MAX_LENGTH, StringType
from spanguard.validation.inputs.threat_policy import ThreatPolicy, bad_policy
from spanguard.validation.problem import Policy
from spanguard.validation.result import ValidationResult
from spanguard.validation.schema.json_schema import JsonSchema
from spanguard.validation.schema.kinds import Schema, UnknownKeys
from spanguard.validation.schema.models import ModelSchema
from spanguard.validation.schema.reading import Limits, Reader
from spanguard.validation.schema.rules import rules_schema
from spanguard.validation.schema.schema_type import SchemaType
from spanguard.validation.schema.texts import texts_of
from spanguard.validation.threats import ALL, Family, Profile

Kind = Literal["model", "rules", "json_schema"]

_MOST: Final = {"max_depth": 200, "max_items": 1_000_000, "max_characters": 100_000_000}
_LIMITS_OF_SCHEMAS: Final = Limits(200, 1_000_000, 100_000_000)


class SchemaValidator:
    """Validates structured data against a schema, and cleans it.

    What comes in is read once, without recursion and up to the limits, into plain dictionaries and lists. Its strings
    and keys are cleaned and looked at for threats; then the schema judges it. Errors carry the path and never the
    value; a key that the schema does not name is raw input, so a path shows its place among the keys instead. Safe in
    threads, in event loops and after a fork.

    Args:
        schema: one of

            - a pydantic model: the result is an instance of it;
            - a `TypedDict`: the result is a dictionary;
            - a dictionary of rules, `{"email": {"type": "email", "required": True}}`, see docs/schemas.md;
            - a JSON Schema as a dictionary.
        kind: which of these it is. Only a dictionary that may be both rules and a JSON Schema needs it: one is a JSON
            Schema if it has `$schema` or its `type` is text, and rules if each of its values has a `type`.
        unknown_keys: what becomes of keys that the schema does not name, at any depth: "forbid" makes the data
            invalid, "drop" leaves them out, "keep" takes them with what they hold, cleaned.
        threats: what a string that looks like an attack is: "off" does not look, "warn" lets it through with a warning,
            "block" makes the data invalid.
        profile: "parameter" for values that are data of a program, "prose" for what people write to people.
        families: the kinds of attack that are looked for.
        fields: options of `StringType` for strings by the name of the field: `{"comments.*.text": {"profile":
            "prose"}}`; `*` is any place in a list, or any key. Rules have these options themselves.
        max_depth: how deep dictionaries and lists may be nested, at most 200.
        max_items: how many keys and items there may be in all, at most 1,000,000.
        max_characters: how long all strings and keys may be together, at most 100,000,000.
        slow: the seconds from which on a validation gets a span, if the trace around it records.

    Raises:
        ConfigurationError: the schema or an option is wrong; all that is wrong stands in the one message.
    """

    def __init__(
        self,
        schema: type[Any] | Mapping[str, Any] | bool,
        *,
        kind: Kind | None = None,
        unknown_keys: UnknownKeys = "forbid",
        threats: Policy = "warn",
        profile: Profile = "parameter",
        families: frozenset[Family] = ALL,
        fields: Mapping[str, Mapping[str, Any]] | None = None,
        max_depth: int = 32,
        max_items: int = 10_000,
        max_characters: int = 1_000_000,
        slow: float = SLOW,
    ) -> None:
        policy = ThreatPolicy(threats=threats, profile=profile, families=families)
        limits = Limits(max_depth, max_items, max_characters)
        problems = [*_bad_settings(unknown_keys, policy, limits, slow)]
        if problems:
            raise ConfigurationError([f"schema: {problem}" for problem in problems])
        found = _kind(schema, kind)
        texts = texts_of(_text(policy, max_characters), fields or {})
        made: Schema
        if found == "rules":
            if fields:
                raise ConfigurationError("schema: rules say the options of their strings themselves; leave out fields.")
            made = rules_schema(schema, unknown_keys, policy, limits, texts)  # type: ignore[arg-type]
        elif found == "model":
            made = ModelSchema(schema, unknown_keys)  # type: ignore[arg-type]
        else:
            made = JsonSchema(_own_copy(schema), unknown_keys)
        reader = Reader(limits, made.names, None if made.judges_texts else texts, made.leaves)
        self._check = Check(SchemaType(made, reader), slow=slow)
        self._about = f"of kind {found} with {len(made.names)} names"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._about}>"

    def validate(self, data: object) -> ValidationResult[Any]:
        """Judge any object at all. Raises nothing but what a validator in a model of the user's raises.

        Returns:
            the verdict; its value is an instance of the model, or else a new dictionary.
        """
        return self._check.validate(data)


def _kind(schema: object, kind: Kind | None) -> Kind:
    is_model = isinstance(schema, type) and (issubclass(schema, BaseModel) or _is_typed_dict(schema))
    if kind is not None:
        problem = next(one_of("kind", kind, get_args(Kind)), None)
        if problem is None and (is_model != (kind == "model") or not (is_model or isinstance(schema, Mapping | bool))):
            problem = f"kind is {kind!r}, but the schema is of type {type(schema).__name__}; change one of them."
        if problem:
            raise ConfigurationError(f"schema: {problem}")
        return kind
    if is_model:
        return "model"
    if not isinstance(schema, Mapping):
        raise ConfigurationError(
            f"schema: it is of type {type(schema).__name__}; it must be a pydantic model, a TypedDict, a dictionary of "
            "rules or a JSON Schema."
        )
    if "$schema" in schema or isinstance(schema.get("type"), str):
        return "json_schema"
    if schema and all(isinstance(rule, Mapping) and isinstance(rule.get("type"), str) for rule in schema.values()):
        return "rules"
    raise ConfigurationError(
        "schema: the dictionary may be rules or a JSON Schema: rules have a `type` each, a JSON Schema has `$schema` or "
        "a `type`; say kind='rules' or kind='json_schema'."
    )


def _is_typed_dict(kind: type) -> bool:
    # `typing.is_typeddict` does not know those of typing_extensions, which pydantic asks for before Python 3.12.
    return issubclass(kind, dict) and hasattr(kind, "__required_keys__")


def _bad_settings(unknown_keys: object, policy: ThreatPolicy, limits: Limits, slow: object) -> Iterator[str]:
    yield from one_of("unknown_keys", unknown_keys, get_args(UnknownKeys))
    yield from bad_policy(policy)
    for name, most in _MOST.items():
        value = getattr(limits, name)
        if not is_whole(value) or not 1 <= value <= most:
            yield f"{name} is {value!r}; it must be a whole number from 1 to {most}."
    yield from bad_seconds("slow", slow)


def _text(policy: ThreatPolicy, max_characters: int) -> StringType:
    return StringType(
        max_length=min(max_characters, MAX_LENGTH),
        threats=policy.threats,
        profile=policy.profile,
        families=policy.families,
    )


def _own_copy(schema: object) -> Any:
    if isinstance(schema, bool):
        return schema
    reading = Reader(_LIMITS_OF_SCHEMAS, ()).read(schema)
    if reading.errors:
        raise ConfigurationError([f"schema: it is no JSON Schema: {problem}" for problem in reading.errors])
    return reading.value
