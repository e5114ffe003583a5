"""What the rules find in a small set of their own, and what a report says."""

from __future__ import annotations

import dataclasses
import json
import tracemalloc

import pytest

from spanguard.errors import ConfigurationError
from spanguard.validation.threats import ALL, THRESHOLD, Family, Finding, ThreatReport, detect
from spanguard.validation.threats.canonical import HEAD, TAIL
from spanguard.validation.threats.detection import RULES
from unit.threats.samples import ATTACKS, HARMLESS

CASES = [(family, attack) for family, attacks in ATTACKS.items() for attack in attacks]


@pytest.mark.parametrize(("family", "attack"), CASES)
def test_an_attack_is_found_by_its_own_family(family: Family, attack: str) -> None:
    assert family in detect(attack).families


@pytest.mark.parametrize("text", HARMLESS)
@pytest.mark.parametrize("profile", ["parameter", "prose"])
def test_a_harmless_text_is_no_threat(text: str, profile: str) -> None:
    assert not detect(text, profile=profile)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["", "plum", "\x00", "\ud800", "\U0010ffff" * 50, "%", "&#9999999;", "\\u{110000}", "%u"]
)
def test_text_of_any_characters_gets_a_report(text: str) -> None:
    assert detect(text) == ThreatReport(0, (), was_truncated=False)


def test_a_report_names_the_rules_and_never_the_text() -> None:
    report = detect("12 union select marigold from staff")
    assert Finding("sql_injection", "union_select", 5) in report.findings
    assert "marigold" not in json.dumps(dataclasses.asdict(report))
    assert "marigold" not in repr(report)


def test_the_score_is_the_highest_sum_of_one_family() -> None:
    report = detect("<script>go()</script> ../../etc/passwd")
    sums = {family: sum(f.score for f in report.findings if f.family == family) for family in ALL}
    assert report.score == max(sums.values())
    assert set(report.families) == {family for family, score in sums.items() if score >= THRESHOLD}
    assert [sums[family] for family in report.families] == sorted((sums[f] for f in report.families), reverse=True)


def test_hints_below_the_threshold_are_told_but_make_no_threat() -> None:
    report = detect("c:/holiday")
    assert [finding.rule for finding in report.findings] == ["drive"]
    assert not report
    assert report.families == ()


def test_prose_may_quote_what_a_parameter_may_not() -> None:
    text = "Why is my <object> drawn twice? See <object width=3>."
    assert detect(text)
    assert not detect(text, profile="prose")


def test_only_the_families_asked_for_are_looked_for() -> None:
    text = "<script>go()</script> ../../etc/passwd"
    assert detect(text, families=frozenset({"xss"})).families == ("xss",)
    assert not detect(text, families=frozenset())


@pytest.mark.parametrize(
    ("place", "found"), [(0, True), (HEAD - 40, True), (HEAD + 100, False), (90_000, False), (99_100, True)]
)
def test_the_start_and_the_end_of_a_long_text_are_looked_at_and_the_rest_is_not(place: int, found: bool) -> None:
    filling = "a " * 50_000
    attack = " <script>go()</script> "
    report = detect(f"{filling[:place]}{attack}{filling[place:]}")
    assert bool(report) is found
    assert report.was_truncated


def test_a_text_of_the_greatest_length_is_read_whole() -> None:
    assert not detect("a" * (HEAD + TAIL)).was_truncated
    assert detect("a" * (HEAD + TAIL + 1)).was_truncated


def test_an_unknown_profile_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"profile='poetry': there is 'parameter' and 'prose'\."):
        detect("plum", profile="poetry")  # type: ignore[arg-type]


def test_an_unknown_family_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"unknown \['xxe'\]"):
        detect("plum", families=frozenset({"xxe"}))  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [b"plum", None, 7, ["plum"]])
def test_what_is_no_text_is_the_callers_mistake(wrong: object) -> None:
    with pytest.raises(
        TypeError, match=rf"^text is of type {type(wrong).__name__}; it must be str\. Decode bytes first\.$"
    ):
        detect(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("filling", ["a", "\ud800", "\U0001f600", "%3c", "&lt;"])
def test_of_a_huge_text_little_more_than_the_bound_is_ever_held(filling: str) -> None:
    huge = filling * 20_000_000
    tracemalloc.start()
    try:
        detect(huge)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200 * (HEAD + TAIL)


def test_a_text_that_overrides_its_methods_is_read_as_the_text_it_is() -> None:
    class Liar(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "plum"

        def isascii(self) -> bool:
            raise AssertionError

    assert detect(Liar("<script>go()</script>"))


def test_every_rule_has_a_name_of_its_own_and_a_score() -> None:
    for rules in RULES.values():
        assert len({rule.name for rule in rules}) == len(rules)
        assert all(1 <= rule.parameter <= THRESHOLD and 0 <= rule.prose <= rule.parameter for rule in rules)
