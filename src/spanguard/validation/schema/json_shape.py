"""Which keys a JSON Schema knows at each place of an input, whichever of its alternatives applies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jsonschema_rs

_IN_PLACE_LISTS: Final = ("allOf", "anyOf", "oneOf")
_IN_PLACE: Final = ("if", "then", "else", "not")
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_OF_THE_REST: Final = ("additionalProperties", "unevaluatedProperties")
_OF_ITEMS: Final = ("items", "additionalItems", "unevaluatedItems", "contains")


@dataclass(slots=True)
class Shape:
    """The keys and items that one place may have. The shapes below it are made as inputs ask for them, and kept.

    There are no more shapes than sets of subschemas that can apply together, whatever the inputs: an input only moves
    between them. Two threads that make the same one at once make equals.
    """

    maker: ShapeMaker
    names: Mapping[str, tuple[_Subschema, ...]]
    patterns: tuple[tuple[jsonschema_rs.Validator, _Subschema], ...]
    rest: tuple[_Subschema, ...]
    takes_any_key: bool
    items: tuple[_Subschema, ...]
    _below: dict[str, Shape] = field(default_factory=dict)
    _item: Shape | None = None

    def of_key(self, key: str) -> Shape | None:
        """Return the shape of the value under a key; None if no part of the schema that may apply knows the key."""
        if key in self.names and key in self._below:
            return self._below[key]
        schemas = self.names.get(key, ())
        schemas += tuple(schema for pattern, schema in self.patterns if pattern.is_valid(key))
        if not schemas and not self.takes_any_key:
            return None
        shape = self.maker.shape(schemas or self.rest)
        if key in self.names:
            self._below[key] = shape
        return shape

    def of_item(self) -> Shape:
        """Return the shape of the items of a list."""
        if self._item is None:
            self._item = self.maker.shape(self.items)
        return self._item


@dataclass(frozen=True, slots=True)
class _Subschema:
    """A part of the schema, and what resolves the references in it."""

    contents: Any
    resolver: jsonschema_rs.Resolver
    key: str
    """Where it stands: what tells it from others."""


class ShapeMaker:
    """Makes the shapes of one JSON Schema, which is valid and refers to nothing outside itself."""

    def __init__(self, schema: Any, draft: int, compiled: Any) -> None:
        self._shapes: dict[frozenset[str], Shape] = {}
        self._compiled = compiled
        registry = jsonschema_rs.Registry([(_BASE, schema)], draft=draft)
        self.root = self.shape((_Subschema(schema, registry.resolver(_BASE), "#"),))

    def shape(self, schemas: tuple[_Subschema, ...]) -> Shape:
        """Return the shape of a place where all of these may apply."""
        key = frozenset(schema.key for schema in schemas)
        known = self._shapes.get(key)
        if known is None:
            known = self._shapes[key] = self._made(schemas)
        return known

    def _made(self, schemas: tuple[_Subschema, ...]) -> Shape:
        names: dict[str, tuple[_Subschema, ...]] = {}
        patterns: list[tuple[jsonschema_rs.Validator, _Subschema]] = []
        rest: list[_Subschema] = []
        items: list[_Subschema] = []
        takes_any_key = names_keys = False
        for schema in _applying(schemas):
            for name, below in _inside(schema, "properties"):
                names[name] = (*names.get(name, ()), below)
            for pattern, below in _inside(schema, "patternProperties"):
                patterns.append((self._compiled({"pattern": pattern}), below))
            for word in _OF_THE_REST:
                names_keys = names_keys or word in schema.contents
                if (value := schema.contents.get(word)) not in (None, False):
                    takes_any_key = True
                    rest += [_below(schema, word)] if isinstance(value, dict) else []
            for word in (*_OF_ITEMS, "prefixItems"):
                items += _each(schema, word)
        # An object of which the schema names no key at all is one of free keys.
        takes_any_key = takes_any_key or not (names or patterns or names_keys)
        return Shape(self, names, tuple(patterns), tuple(rest), takes_any_key, tuple(items))


_BASE: Final = "json-schema:///"


def _applying(schemas: tuple[_Subschema, ...]) -> Iterator[_Subschema]:
    """Yield the subschemas that may apply to the same value as these do, each once."""
    left = list(schemas)
    seen: set[str] = set()
    while left:
        schema = left.pop()
        if schema.key in seen or not isinstance(schema.contents, dict):
            continue
        seen.add(schema.key)
        schema = _at_home(schema)
        seen.add(schema.key)
        yield schema
        for word in _REFERENCES:
            if isinstance(reference := schema.contents.get(word), str):
                left += _resolved(schema, reference)
        for word in (*_IN_PLACE_LISTS, *_IN_PLACE):
            left += _each(schema, word)
        for word in ("dependentSchemas", "dependencies"):
            left += [below for _, below in _inside(schema, word)]


def _resolved(schema: _Subschema, reference: str) -> list[_Subschema]:
    try:
        found = schema.resolver.lookup(reference)
    except jsonschema_rs.ReferencingError:
        return []  # what it would name stays unknown
    return [_Subschema(found.contents, found.resolver, f"{found.resolver.base_uri} {reference}")]


def _at_home(schema: _Subschema) -> _Subschema:
    """Return the subschema with what resolves references from inside it: its own `$id`, if it has one."""
    if not isinstance(own := schema.contents.get("$id"), str):
        return schema
    return next(iter(_resolved(schema, own)), schema)


def _each(schema: _Subschema, word: str) -> list[_Subschema]:
    value = schema.contents.get(word)
    if isinstance(value, list):
        return [_Subschema(item, schema.resolver, f"{schema.key}/{word}/{place}") for place, item in enumerate(value)]
    return [_below(schema, word)] if isinstance(value, dict) else []


def _inside(schema: _Subschema, word: str) -> list[tuple[str, _Subschema]]:
    value = schema.contents.get(word)
    if not isinstance(value, dict):
        return []
    return [
        (name, _Subschema(below, schema.resolver, f"{schema.key}/{word}/{_escaped(name)}"))
        for name, below in value.items()
    ]


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _below(schema: _Subschema, word: str) -> _Subschema:
    return _Subschema(schema.contents[word], schema.resolver, f"{schema.key}/{word}")
