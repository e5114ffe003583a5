"""One named rule."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern on the canonical view, and what it is worth in each profile.

    A score of `report.THRESHOLD` says: this alone is an attack. Less is a hint, which counts together with others of
    its family; 0 switches the rule off for the profile.
    """

    name: str
    parameter: int
    prose: int
    pattern: str
