"""Run the rules of each family over the one view of a text."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import get_args

import re2

from spanguard.errors import ConfigurationError
from spanguard.validation.threats.canonical import canonical
from spanguard.validation.threats.report import ALL, Family, Finding, Profile, ThreatReport
from spanguard.validation.threats.rule import Rule
from spanguard.validation.threats.rules import COMMAND_INJECTION, PATH_TRAVERSAL, SQL_INJECTION, XSS

RULES: dict[Family, tuple[Rule, ...]] = {
    "xss": XSS,
    "sql_injection": SQL_INJECTION,
    "command_injection": COMMAND_INJECTION,
    "path_traversal": PATH_TRAVERSAL,
}
_MEMORY = 8 << 20  # bytes one set's automaton may grow to; without room for it a set would find nothing


class _Detector:
    """The rules of a family as one automaton: a text is read once, whatever the number of rules."""

    def __init__(self, family: Family, rules: tuple[Rule, ...]) -> None:
        options = re2.Options()
        options.max_mem = _MEMORY
        options.never_capture = True
        options.dot_nl = True
        options.log_errors = False
        # The patterns are ASCII. Read as bytes, other characters cost the automaton no states of their own.
        options.encoding = re2.Options.Encoding.LATIN1
        automaton = re2.Set.SearchSet(options)
        for rule in rules:
            automaton.Add(rule.pattern)
        automaton.Compile()
        self.match: Callable[[bytes], list[int] | None] = automaton.Match
        """Which rules meet their pattern, by number; None if none does."""
        self._findings: dict[Profile, tuple[Finding | None, ...]] = {
            "parameter": tuple(
                Finding(family, rule.name, rule.parameter) if rule.parameter else None for rule in rules
            ),
            "prose": tuple(Finding(family, rule.name, rule.prose) if rule.prose else None for rule in rules),
        }
        self.match(_WARM_UP)

    def findings(self, met: list[int], profile: Profile) -> list[Finding]:
        known = self._findings[profile]
        return [finding for index in sorted(met) if (finding := known[index])]


# The automaton builds its states as it meets text; most of those that ordinary text needs are met here.
_WARM_UP = bytes(range(32, 127)) * 2 + b"".join(
    b"the%cquick brown fox %c jumps over%c%c the lazy dog %c1%c\n" % ((mark,) * 6) for mark in range(33, 65)
)
_PROFILES = frozenset(get_args(Profile))
_NOTHING = ThreatReport(0, (), was_truncated=False)
_Detectors = tuple[tuple[Family, _Detector], ...]


def _made() -> _Detectors:
    return tuple((family, _Detector(family, rules)) for family, rules in RULES.items())


_detectors: _Detectors | None = _made()
_of_parents: list[_Detectors | None] = []


def _after_fork_in_child() -> None:
    # An automaton has a lock of its own, which a thread of the parent may have held. The child makes its own at first
    # use, and keeps the parent's untouched: to destroy one that is locked is no better than to use it.
    global _detectors  # noqa: PLW0603 - the one place where they change
    _of_parents.append(_detectors)
    _detectors = None


def _made_anew() -> _Detectors:
    global _detectors  # noqa: PLW0603 - two threads that make them at once make the same
    _detectors = detectors = _made()
    return detectors


os.register_at_fork(after_in_child=_after_fork_in_child)


def detect(text: str, *, profile: Profile = "parameter", families: frozenset[Family] = ALL) -> ThreatReport:
    """Look for known shapes of attacks in a text.

    Args:
        text: any text. At most 4,096 characters from its start and 1,024 from its end are looked at.
        profile: "parameter" for values that are data of a program (an identifier, a search, a file name), "prose" for
            text that people write to people, where quotes, code and markup are no surprise.
        families: which to look for.

    A text without findings is not thereby harmless: see docs/threats.md for what is caught, as measured.

    Raises:
        ConfigurationError: a profile or a family that does not exist.
        TypeError: not a string.
    """
    if profile not in _PROFILES or (families is not ALL and not families <= ALL):
        raise _unknown(profile, families)
    try:
        text = str.__str__(text)  # of a subclass a plain copy: its methods are not ours to call
    except TypeError:
        raise TypeError(f"text is of type {type(text).__name__}; it must be str. Decode bytes first.") from None
    plain, was_truncated = canonical(text)
    view = plain.encode("utf-8", "replace")
    findings: list[Finding] = []
    highest = 0
    for family, detector in _detectors or _made_anew():
        if family in families and (met := detector.match(view)):
            found = detector.findings(met, profile)
            findings += found
            highest = max(highest, sum(finding.score for finding in found))
    if not findings and not was_truncated:
        return _NOTHING
    return ThreatReport(highest, tuple(findings), was_truncated)


def _unknown(profile: str, families: frozenset[str]) -> ConfigurationError:
    if profile not in _PROFILES:
        return ConfigurationError(f"profile={profile!r}: there is 'parameter' and 'prose'.")
    return ConfigurationError(f"families: unknown {sorted(families - ALL)}; there are {sorted(ALL)}.")
