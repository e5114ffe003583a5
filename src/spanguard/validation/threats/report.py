"""What the detectors say of a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Family = Literal["xss", "sql_injection", "command_injection", "path_traversal"]
Profile = Literal["parameter", "prose"]

ALL: frozenset[Family] = frozenset(get_args(Family))
THRESHOLD = 5
"""From this score on a text is a threat. A rule that is sure alone scores as much; hints add up."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that met its pattern. The text itself is not kept."""

    family: Family
    rule: str
    score: int


@dataclass(frozen=True, slots=True)
class ThreatReport:
    """The findings in a text; true when one family's scores add up to `THRESHOLD` or more."""

    score: int
    """The highest sum of one family."""
    findings: tuple[Finding, ...]
    was_truncated: bool
    """Part of the text was not looked at: it is longer than the documented bound."""

    def __bool__(self) -> bool:
        return self.score >= THRESHOLD

    @property
    def families(self) -> tuple[Family, ...]:
        """The families whose own sum makes the text a threat, the highest first."""
        sums: dict[Family, int] = {}
        for finding in self.findings:
            sums[finding.family] = sums.get(finding.family, 0) + finding.score
        return tuple(sorted((family for family, score in sums.items() if score >= THRESHOLD), key=lambda f: -sums[f]))
