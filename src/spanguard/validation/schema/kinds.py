"""The seam between the four kinds of schema and the validator."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Protocol

from spanguard.validation.problem import Path, Problem

UnknownKeys = Literal["forbid", "drop", "keep"]
"""What becomes of a key that the schema does not name."""

UNKNOWN_KEY = Problem("unknown_key", "The schema knows no such key; leave it out.")
MISSING = Problem("missing", "It is missing.")
NOT_A_DICT = Problem("not_a_dict", "It must be a dictionary.")


class Judgement(NamedTuple):
    """What a schema says of plain data."""

    value: Any
    errors: list[Problem]
    warnings: list[Problem]


class Schema(Protocol):
    """A schema of one kind, made ready. Safe in threads and after a fork."""

    @property
    def names(self) -> frozenset[str]:
        """The keys that it names, at any depth."""

    @property
    def judges_texts(self) -> bool:
        """Whether its own types clean strings and look for threats in them."""

    @property
    def leaves(self) -> frozenset[type]:
        """The types it takes besides those of JSON."""

    def judge(self, data: Any) -> Judgement:
        """Judge data that was read before: bounded, of exact dicts, lists and scalars, with keys that are text."""


def place_of(data: Any, loc: Path, names: frozenset[str]) -> Path:
    """Return a library's location as a path that shows no key but those that the schema names.

    Any other key of the data is shown by its place. What is neither a key nor a place is a word of the library's (the
    member of a union that was tried) and left out.
    """
    path: list[str | int] = []
    for part in loc:
        if isinstance(part, str):
            if isinstance(data, dict) and part in data:
                path.append(part if part in names else list(data).index(part))
                data = data[part]
            elif part in names:
                path.append(part)
                data = None
        elif isinstance(data, list) and part < len(data):
            path.append(part)
            data = data[part]
        elif data is None:
            path.append(part)
    return tuple(path)
