"""Schemas as a dictionary of rules: `{"email": {"type": "email", "required": True}}`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

from spanguard.errors import ConfigurationError
from spanguard.validation.inputs.collections import MAX_PROBLEMS
from spanguard.validation.inputs.input_type import InputType
from spanguard.validation.inputs.options import hint
from spanguard.validation.inputs.registry import TYPES, make_type
from spanguard.validation.inputs.threat_policy import ThreatPolicy
from spanguard.validation.problem import Problem
from spanguard.validation.result import ValidationResult, accepted, refused
from spanguard.validation.schema.kinds import MISSING, NOT_A_DICT, UNKNOWN_KEY, Judgement, UnknownKeys
from spanguard.validation.schema.reading import Limits, Reader
from spanguard.validation.schema.texts import Texts

_OF_A_FIELD: Final = ("required", "default", "nullable")
_OF_A_DICT: Final = ("fields", "values", "unknown_keys")
_OF_A_POLICY: Final = ("threats", "profile", "families")
_MOST_LEVELS: Final = 64
_NO_DEFAULT: Final = object()


class Field(NamedTuple):
    """One key that a dictionary may have."""

    of: InputType[Any]
    is_required: bool
    is_nullable: bool
    default: Any


@dataclass(frozen=True, slots=True)
class DictType:
    """A dictionary whose keys have types of their own.

    Args:
        fields: the keys that are named.
        values: the type of the values under all other keys; None if there should be none.
        unknown_keys: what becomes of other keys if `values` is None.
        reader: how the values of unknown keys are read, which no type judges.
    """

    name: ClassVar[str] = "dict"
    fields: Mapping[str, Field]
    values: InputType[Any] | None
    unknown_keys: UnknownKeys
    reader: Reader

    def validate(self, value: object) -> ValidationResult[dict[str, Any]]:
        """Judge plain data; see `InputType`."""
        if type(value) is not dict:
            return refused(NOT_A_DICT)
        clean: dict[str, Any] = {}
        errors: list[Problem] = []
        warnings: list[Problem] = []
        for place, (key, item) in enumerate(value.items()):
            field = self.fields.get(key)
            result = self._of_field(field, item) if field else self._of_unknown(key, item)
            path = (key if field or key in self.reader.names else place,)
            errors += [problem.below(path) for problem in result.errors]
            warnings += [problem.below(path) for problem in result.warnings]
            if field or self.values or self.unknown_keys == "keep":
                clean[key] = result.sanitized_value
            if len(errors) > MAX_PROBLEMS:
                break
        for key, field in self.fields.items():
            if key in value:
                continue
            if field.is_required:
                errors.append(MISSING.below((key,)))
            elif field.default is not _NO_DEFAULT:
                clean[key] = field.of.validate(field.default).sanitized_value if field.default is not None else None
        return (
            ValidationResult(False, None, tuple(errors), tuple(warnings))
            if errors
            else accepted(clean, tuple(warnings))
        )

    def _of_field(self, field: Field, item: Any) -> ValidationResult[Any]:
        return accepted(None) if item is None and field.is_nullable else field.of.validate(item)

    def _of_unknown(self, key: str, item: Any) -> ValidationResult[Any]:
        if self.values is None and self.unknown_keys == "forbid":
            return refused(UNKNOWN_KEY)
        of_key = self.reader.judged_key(key)
        if self.values is not None:
            of_item = self.values.validate(item)
        else:
            reading = self.reader.read(item)
            of_item = ValidationResult(True, reading.value, tuple(reading.errors), tuple(reading.warnings))
        errors = of_key.errors + of_item.errors
        return ValidationResult(not errors, of_item.sanitized_value, errors, of_key.warnings + of_item.warnings)


class RulesSchema:
    """A schema out of rules."""

    judges_texts: ClassVar[bool] = True
    leaves: ClassVar[frozenset[type]] = frozenset()

    def __init__(self, of: DictType, names: frozenset[str]) -> None:
        self._of = of
        self.names = names

    def judge(self, data: Any) -> Judgement:
        """Judge data that was read before; see `Schema`."""
        result = self._of.validate(data)
        return Judgement(result.sanitized_value, list(result.errors), list(result.warnings))


def rules_schema(
    rules: Mapping[str, Any], unknown_keys: UnknownKeys, policy: ThreatPolicy, limits: Limits, texts: Texts
) -> RulesSchema:
    """Return the schema of a dictionary of rules.

    Args:
        rules: a rule for each key. A rule says its `type` and the options of that type; `required`, `default` and
            `nullable` besides. A `dict` has `fields`, which are rules again, or `values`, one rule for all of them.
        unknown_keys: what becomes of other keys, where a rule of type `dict` does not say so itself.
        policy: against threats, where a rule does not say so itself.
        limits: where reading a value that no rule names stops.
        texts: what judges the strings in such a value.

    Raises:
        ConfigurationError: a type, an option or its value is wrong; all that is wrong stands in the one message.
    """
    names: set[str] = set()
    maker = _Maker(policy, unknown_keys, Reader(limits, names, texts), names)
    made = maker.fields(rules, (), unknown_keys)
    if maker.problems:
        raise ConfigurationError(maker.problems)
    return RulesSchema(made, frozenset(names))


class _Maker:
    def __init__(self, policy: ThreatPolicy, unknown_keys: UnknownKeys, reader: Reader, names: set[str]) -> None:
        self.policy = {name: getattr(policy, name) for name in _OF_A_POLICY}
        self.unknown_keys = unknown_keys
        self.reader = reader
        self.names = names
        self.problems: list[str] = []
        self._open: set[int] = set()

    def fields(self, rules: object, path: tuple[str, ...], unknown_keys: UnknownKeys, values: Any = None) -> DictType:
        made: dict[str, Field] = {}
        if not isinstance(rules, Mapping):
            self._refuse(path, f"fields is {_shown(rules)}; it must be a dictionary with a rule for each key.")
        elif self._enters(rules, path):
            for key, rule in rules.items():
                if not isinstance(key, str):
                    self._refuse(path, f"the key {key!r} must be text.")
                elif field := self._field(rule, (*path, key)):
                    made[key] = field
                    self.names.add(key)
            self._open.discard(id(rules))
        of_values = self._type(values, (*path, "*")) if values is not None else None
        return DictType(made, of_values, unknown_keys, self.reader)

    def _field(self, rule: object, path: tuple[str, ...]) -> Field | None:
        options = dict(rule) if isinstance(rule, Mapping) else None
        required = options.pop("required", False) if options else False
        nullable = options.pop("nullable", False) if options else False
        default = options.pop("default", _NO_DEFAULT) if options else _NO_DEFAULT
        for name, value in (("required", required), ("nullable", nullable)):
            if not isinstance(value, bool):
                self._refuse(path, f"{name} is {_shown(value)}; it must be True or False.")
        if required is True and default is not _NO_DEFAULT:
            self._refuse(path, "it is required, so its default would never be used; leave out one of them.")
        made = self._type(options if options is not None else rule, path)
        if made is None:
            return None
        if default is not _NO_DEFAULT and not (default is None and nullable) and not made.validate(default):
            self._refuse(path, f"its default is {_shown(default)}, which is not valid by its own rule.")
        return Field(made, required is True, nullable is True, default)

    def _type(self, rule: object, path: tuple[str, ...]) -> InputType[Any] | None:
        if isinstance(rule, str):
            rule = {"type": rule}
        if not isinstance(rule, Mapping):
            if not isinstance(rule, type) and callable(getattr(rule, "validate", None)):
                return rule  # type: ignore[return-value]
            self._refuse(path, f"the rule is {_shown(rule)}; it must be a dictionary with a type, or a type of input.")
            return None
        if not self._enters(rule, path):
            return None
        made = self._typed(dict(rule), path)
        self._open.discard(id(rule))
        return made

    def _enters(self, rules: Mapping[str, Any], path: tuple[str, ...]) -> bool:
        if len(path) > _MOST_LEVELS or id(rules) in self._open:
            self._refuse(path[:3], f"the rules contain themselves, or are more than {_MOST_LEVELS} levels deep.")
            return False
        self._open.add(id(rules))
        return True

    def _typed(self, options: dict[str, Any], path: tuple[str, ...]) -> InputType[Any] | None:
        name = options.pop("type", None)
        if name == DictType.name:
            return self._dict(options, path)
        known = (*TYPES, DictType.name)
        if not isinstance(name, str) or name not in TYPES:
            self._refuse(path, f"type is {_shown(name)}; {hint(name, known)}there are: {', '.join(known)}.")
            return None
        return self._simple(name, options, path)

    def _simple(self, name: str, options: dict[str, Any], path: tuple[str, ...]) -> InputType[Any] | None:
        self._drop_unknown(options, [field.name for field in dataclasses.fields(TYPES[name])], path)
        if "of" in options:
            of = self._type(options.pop("of"), (*path, "*"))
            if of is None:
                return None
            options["of"] = of
        elif name in ("list", "optional"):
            options["of"] = make_type("string", self.policy)
        if issubclass(TYPES[name], ThreatPolicy):
            options = {**self.policy, **options}
        try:
            return make_type(name, options)
        except ConfigurationError as error:
            for problem in error.problems:
                self._refuse(path, problem)
        return None

    def _dict(self, options: dict[str, Any], path: tuple[str, ...]) -> DictType:
        self._drop_unknown(options, _OF_A_DICT, path)
        unknown_keys = options.get("unknown_keys", self.unknown_keys)
        if unknown_keys not in ("forbid", "drop", "keep"):
            self._refuse(path, f"unknown_keys is {_shown(unknown_keys)}; it must be forbid, drop or keep.")
        if "fields" not in options and "values" not in options and "unknown_keys" not in options:
            self._refuse(path, "a dict says its fields, its values, or unknown_keys='keep' to take any keys.")
        return self.fields(options.get("fields", {}), path, unknown_keys, options.get("values"))

    def _drop_unknown(self, options: dict[str, Any], known: Sequence[str], path: tuple[str, ...]) -> None:
        words = known if path[-1] == "*" else (*known, *_OF_A_FIELD)
        for word in [word for word in options if word not in known]:
            self._refuse(path, f"{_shown(word)} is no option; {hint(word, words)}there are: {', '.join(words)}.")
            del options[word]

    def _refuse(self, path: tuple[str, ...], problem: str) -> None:
        self.problems.append(f"{'.'.join(path) or 'the schema'}: {problem}")


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str | int | float | bool | None) else f"of type {type(value).__name__}"
