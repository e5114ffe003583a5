"""The types of input by the words for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from spanguard.errors import ConfigurationError
from spanguard.validation.inputs.boolean import BooleanType
from spanguard.validation.inputs.collections import ListType, OptionalType
from spanguard.validation.inputs.datetime import DatetimeType
from spanguard.validation.inputs.email import EmailType
from spanguard.validation.inputs.input_type import InputType
from spanguard.validation.inputs.number import FloatType, IntegerType
from spanguard.validation.inputs.options import hint
from spanguard.validation.inputs.string import StringType
from spanguard.validation.inputs.url import UrlType

TYPES: Final[Mapping[str, type[Any]]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            StringType,
            EmailType,
            UrlType,
            IntegerType,
            FloatType,
            BooleanType,
            DatetimeType,
            ListType,
            OptionalType,
        )
    }
)
"""Every type of input by its name, as `input_type=` takes it."""


def make_type(name: str, options: Mapping[str, Any] | None = None) -> InputType[Any]:
    """Return a type of input made of its name and its options.

    Args:
        name: one of `TYPES`.
        options: the arguments of that class. `of`, of a list or an optional value, may also be a name, or a dictionary
            with the name under `type` and options beside it: `{"type": "integer", "minimum": 0}`.

    Raises:
        ConfigurationError: the name, an option or its value is wrong; near matches are named.
    """
    kind = _find(name)
    if kind is None:
        raise ConfigurationError(f"input_type is {name!r}; {hint(name, TYPES)}there are: {', '.join(TYPES)}.")
    given = dict(options or {})
    known = [field.name for field in dataclasses.fields(kind) if field.init]
    unknown = [option for option in given if option not in known]
    if unknown:
        raise ConfigurationError(
            [f"{name}: {word!r} is no option; {hint(word, known)}there are: {', '.join(known)}." for word in unknown]
        )
    if "of" in given:
        given["of"] = _inner(given["of"])
    made: InputType[Any] = kind(**given)
    return made


def _find(name: object) -> type[Any] | None:
    return TYPES.get(name) if isinstance(name, str) else None


def _inner(of: object) -> object:
    if isinstance(of, str):
        return make_type(of)
    if isinstance(of, Mapping):
        return make_type(of.get("type", ""), {key: value for key, value in of.items() if key != "type"})
    return of
