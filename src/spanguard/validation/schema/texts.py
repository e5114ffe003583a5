"""The strings of an input: which type of text judges which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from spanguard.errors import ConfigurationError
from spanguard.validation.inputs.registry import make_type
from spanguard.validation.inputs.string import StringType
from spanguard.validation.result import ValidationResult

ANY_ITEM: Final = "*"
"""The part of a field's name that stands for any place in a list, or any key."""


@dataclass(slots=True)
class Branch:
    """The fields below one place that have a type of text of their own."""

    text: StringType | None = None
    below: dict[str, Branch] = field(default_factory=dict)

    def step(self, part: str) -> Branch | None:
        """Return what stands below one part of a name."""
        return self.below.get(part) or self.below.get(ANY_ITEM)


@dataclass(frozen=True, slots=True)
class Texts:
    """The type of text of every string in an input.

    Args:
        default: of all strings without one of their own, and of keys that the schema does not name.
        fields: where strings have one of their own.
    """

    default: StringType
    fields: Branch

    def judged(self, text: str, branch: Branch | None) -> ValidationResult[str]:
        """Return what the type of text of this place says."""
        kind = branch.text if branch is not None else None
        return (kind or self.default).validate(text)


def texts_of(default: StringType, fields: Mapping[str, Mapping[str, Any]]) -> Texts:
    """Return the types of text for a table of options by the name of the field, such as `address.lines.*`.

    Raises:
        ConfigurationError: an option is wrong; all that is wrong stands in the one message.
    """
    root = Branch()
    problems: list[str] = []
    for name, options in fields.items():
        try:
            kind = make_type("string", {**_shared(default), **options})
        except ConfigurationError as error:
            problems += [f"field {name!r}: {problem}" for problem in error.problems]
            continue
        branch = root
        for part in name.split("."):
            branch = branch.below.setdefault(part, Branch())
        assert isinstance(kind, StringType)  # noqa: S101 - told to the type checker
        branch.text = kind
    if problems:
        raise ConfigurationError(problems)
    return Texts(default, root)


def _shared(default: StringType) -> dict[str, Any]:
    return {name: getattr(default, name) for name in ("max_length", "threats", "profile", "families")}
