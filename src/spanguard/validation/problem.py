"""What is wrong with an input, without the input."""

from __future__ import annotations

from typing import Literal, NamedTuple

Path = tuple[str | int, ...]
"""The way to a value inside its input: keys of dictionaries and places in lists; empty for the input itself."""

Policy = Literal["off", "warn", "block"]
"""What a threat in a text means: it is not looked for, it is a warning, or it makes the input invalid."""


class Threat(NamedTuple):
    """What the detectors found in one text, without the text: for programs and signals, not for whoever sent it.

    Attributes:
        policy: whether it was let through with a warning, or refused.
        families: the kinds of attack, the one with the highest score first.
        rules: the names of the rules that met their pattern.
        score: the highest sum of one family.
        length: of the text, in code points.
        digest: a hash of the text under a key that lives as long as the process: equal texts have equal digests.
    """

    policy: Policy
    families: tuple[str, ...]
    rules: tuple[str, ...]
    score: int
    length: int
    digest: str


class Problem(NamedTuple):
    """One thing that is wrong with an input, or worth a warning. It never holds the value.

    Attributes:
        code: what is wrong, in a word for programs: `too_long`, `not_an_integer`, `threat`.
        message: the same for people: what is allowed and what to do.
        path: where in the input; empty for the input itself.
        limit: the limit that was broken, if there is one.
        threat: of a problem with code `threat`: what was found. It is no part of `to_dict()`.
    """

    code: str
    message: str
    path: Path = ()
    limit: int | float | str | None = None
    threat: Threat | None = None

    def below(self, path: Path) -> Problem:
        """Return the same problem seen from a place further up."""
        return self._replace(path=(*path, *self.path))

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path))}: {self.message}" if self.path else self.message
