"""The policy of a text field against threats: the one piece that all types of text share."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, get_args

from spanguard.validation.inputs.options import one_of
from spanguard.validation.problem import Policy, Problem, Threat
from spanguard.validation.result import ValidationResult, accepted, refused
from spanguard.validation.threats import ALL, Family, Profile, ThreatReport, detect

_KEY: Final = secrets.token_bytes(32)
_PART_UNSEEN: Final = Problem(
    "partly_unchecked", "It is longer than the part in which threats are looked for: its start and its end."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreatPolicy:
    """The options against threats, inherited by every type of text.

    Args:
        threats: what a text that looks like an attack is: "off" does not look, "warn" lets it through with a warning,
            "block" makes it invalid.
        profile: "parameter" for values that are data of a program, "prose" for what people write to people.
        families: the kinds of attack that are looked for.
    """

    threats: Policy = "warn"
    profile: Profile = "parameter"
    families: frozenset[Family] = ALL

    def judged(self, text: str, warnings: tuple[Problem, ...] = ()) -> ValidationResult[Any]:
        """Return the result for a text that is valid but for threats, in it or in what it stands for."""
        if self.threats == "off":
            return accepted(text, warnings)
        report = detect(text, profile=self.profile, families=self.families)
        if report:
            problem = _problem(report, text, self.threats)
            return refused(problem) if self.threats == "block" else accepted(text, (*warnings, problem))
        return accepted(text, (*warnings, _PART_UNSEEN) if report.was_truncated else warnings)


def bad_policy(policy: ThreatPolicy) -> Iterator[str]:
    """Yield what is wrong with the options against threats."""
    yield from one_of("threats", policy.threats, get_args(Policy))
    yield from one_of("profile", policy.profile, get_args(Profile))
    families: object = policy.families
    if not isinstance(families, frozenset) or not families <= ALL:
        yield f"families is {families!r}; it must be a frozenset of some of: {', '.join(get_args(Family))}."
    elif not families:
        yield "families is empty, so nothing would be looked for; say threats='off' instead."


def _problem(report: ThreatReport, text: str, policy: Policy) -> Problem:
    families = report.families
    threat = Threat(
        policy,
        families,
        tuple(finding.rule for finding in report.findings if finding.family in families),
        report.score,
        len(text),
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=_KEY, digest_size=8).hexdigest(),
    )
    names = ", ".join(family.replace("_", " ") for family in families)
    return Problem("threat", f"It looks like an attack ({names}).", threat=threat)
