from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from at_work import at_work
from spanguard.errors import ConfigurationError
from spanguard.validation import Problem, StringType, ValidationResult
from spanguard.validation.inputs import pattern as patterns
from spanguard.validation.inputs.pattern import compiled
from unit.validation.hostile import Colour, Text

plain = StringType(threats="off")


def codes(result: ValidationResult[Any]) -> list[str]:
    return [problem.code for problem in result.errors]


def test_a_text_comes_out_as_it_is() -> None:
    assert plain.validate("Łódź, 7 °C") == (True, "Łódź, 7 °C", (), ())


@pytest.mark.parametrize("value", [b"text", bytearray(b"text"), 7, None, ["a"], True])
def test_what_is_no_text_is_refused(value: object) -> None:
    assert codes(plain.validate(value)) == ["not_a_string"]


@pytest.mark.parametrize("make", [lambda: Colour.RED, lambda: Text("red")])
def test_a_subclass_of_str_comes_out_as_plain_text(make: Callable[[], str]) -> None:
    clean = plain.validate(make()).sanitized_value
    assert type(clean) is str
    assert clean == "red"


@pytest.mark.parametrize("text", ["ab", "abcde"])
def test_the_bounds_of_the_length_are_themselves_valid(text: str) -> None:
    assert StringType(min_length=2, max_length=5).validate(text)


@pytest.mark.parametrize(("text", "code", "limit"), [("a", "too_short", 2), ("abcdef", "too_long", 5)])
def test_beyond_the_bounds_of_the_length_is_refused_with_the_limit(text: str, code: str, limit: int) -> None:
    [problem] = StringType(min_length=2, max_length=5).validate(text).errors
    assert (problem.code, problem.limit, problem.path) == (code, limit, ())


def test_the_length_is_counted_in_code_points_and_in_bytes() -> None:
    euros = StringType(max_length=3, max_bytes=6)
    assert euros.validate("€€")
    assert codes(euros.validate("€€€")) == ["too_many_bytes"]


def test_the_length_is_that_of_the_clean_text() -> None:
    assert StringType(max_length=1).validate("e\u0301").sanitized_value == "é"
    assert StringType(max_length=3, strip=True).validate("  abc \n").sanitized_value == "abc"
    assert codes(StringType(min_length=1, strip=True).validate("   ")) == ["too_short"]


def test_cleaning_is_told_and_changes_what_comes_out() -> None:
    result = plain.validate("pass\u200bword\0")
    assert (result.is_valid, result.sanitized_value) == (True, "password")
    assert [problem.code for problem in result.warnings] == ["cleaned"]


def test_joiners_are_kept_where_the_text_needs_them() -> None:
    family = "\U0001f468\u200d\U0001f469"
    assert plain.validate(family).sanitized_value == family.replace("\u200d", "")
    assert StringType(threats="off", keep_joiners=True).validate(f"{family}\u200b") == (
        *(True, family, ()),
        plain.validate("\u200b").warnings,
    )


def test_without_cleaning_the_text_stays_but_half_a_character_is_refused() -> None:
    raw = StringType(clean=False, threats="off")
    assert raw.validate("e\u0301\u200b").sanitized_value == "e\u0301\u200b"
    assert codes(raw.validate("a\ud800")) == ["not_unicode"]


def test_of_a_text_far_too_long_nothing_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    def clean(text: str, **_: bool) -> str:
        looked.append(len(text))
        return text

    monkeypatch.setattr("spanguard.validation.inputs.string.clean_text", clean)
    bounded = StringType(max_length=10)
    assert codes(bounded.validate("é" * 297)) == ["too_long"]
    assert looked == []
    bounded.validate("é" * 296)
    assert looked == [296]


@pytest.mark.parametrize(
    ("charset", "good", "bad"),
    [
        ("any", "ż\n", None),
        ("ascii", "a\nb", "ż"),
        ("printable", "a b~", "a\nb"),
        ("alphanumeric", "aZ9", "a-b"),
        ("alphanumeric", "", "é"),
        ("identifier", "a_9", "9a"),
        ("digits", "0123", "1.5"),
        ("digits", "", "\u0661"),
    ],
)
def test_a_charset_says_which_characters_there_may_be(charset: Any, good: str, bad: str | None) -> None:
    kind = StringType(charset=charset, threats="off")
    assert kind.validate(good)
    assert bad is None or codes(kind.validate(bad)) == ["bad_characters"]


def test_a_pattern_is_held_against_the_whole_text() -> None:
    code = StringType(pattern=r"[A-Z]{2}\d+", threats="off")
    assert code.validate("PL123")
    assert [codes(code.validate(text)) for text in ("xPL123", "PL123x", "PL123\n")] == [["bad_pattern"]] * 3


def test_a_pattern_knows_characters_of_all_languages() -> None:
    assert StringType(pattern=r"\pL{4}").validate("Łódź")
    assert codes(StringType(pattern=r"..").validate("Łód")) == ["bad_pattern"]


def test_a_pattern_of_one_alternative_does_not_stop_at_the_first_that_fits() -> None:
    assert StringType(pattern="a|ab").validate("ab")


def test_all_that_is_wrong_is_told_at_once() -> None:
    kind = StringType(min_length=5, charset="digits", pattern="x")
    assert codes(kind.validate("a")) == ["too_short", "bad_characters", "bad_pattern"]


def test_more_patterns_than_are_kept_still_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "MAX_PATTERNS", 3)
    kinds = [StringType(pattern=f"a{{{number}}}", threats="off") for number in range(1, 8)]
    assert all(kind.validate("a" * number) for number, kind in enumerate(kinds, 1))
    assert len(patterns._matches) <= 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"min_length": -1}, "min_length is -1; it must be a whole number from 0 to 1000000"),
        ({"max_length": True}, "max_length is True"),
        ({"max_length": 1_000_001}, "max_length is 1000001"),
        ({"min_length": 3, "max_length": 2}, "min_length is 3, above max_length, which is 2"),
        ({"max_bytes": -1}, "max_bytes is -1"),
        ({"pattern": "(?=a)"}, "pattern is '(?=a)', which RE2 does not know"),
        ({"pattern": "("}, "pattern is '(', which RE2 does not know"),
        ({"pattern": "((a{100}){100}){100}"}, "which RE2 does not know"),
        ({"pattern": "\ud800"}, "it must be text in the syntax of RE2"),
        ({"pattern": 7}, "pattern is 7"),
        ({"charset": "asci"}, "charset is 'asci'; did you mean 'ascii'?"),
        ({"charset": []}, "charset is []"),
        ({"strip": 1}, "strip is 1; it must be True or False"),
        ({"clean": None}, "clean is None"),
        ({"keep_joiners": "yes"}, "keep_joiners is 'yes'"),
        ({"threats": "blok"}, "threats is 'blok'; did you mean 'block'?"),
        ({"profile": "proze"}, "profile is 'proze'; did you mean 'prose'?"),
        ({"families": {"xss"}}, "it must be a frozenset of some of: xss"),
        ({"families": frozenset({"css"})}, "it must be a frozenset of some of: xss"),
        ({"families": frozenset()}, "say threats='off' instead"),
    ],
)
def test_an_option_that_is_wrong_is_named_with_its_value(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        StringType(**options)
    assert words in str(caught.value)


def test_all_options_that_are_wrong_stand_in_one_error() -> None:
    with pytest.raises(ConfigurationError) as caught:
        StringType(min_length=-1, charset="x", strip=0)  # type: ignore[arg-type]
    assert len(caught.value.problems) == 3


ATTACK = "<script>alert(document.cookie)</script>"


def test_a_threat_is_a_warning_unless_told_otherwise() -> None:
    result = StringType().validate(ATTACK)
    [warning] = result.warnings
    assert (result.is_valid, result.sanitized_value, warning.code) == (True, ATTACK, "threat")


def test_a_blocked_threat_makes_the_text_invalid() -> None:
    result = StringType(threats="block").validate(ATTACK)
    assert (result.is_valid, result.sanitized_value, codes(result)) == (False, None, ["threat"])


def test_a_threat_that_nobody_looks_for_is_not_found() -> None:
    assert plain.validate(ATTACK) == (True, ATTACK, (), ())
    assert StringType(families=frozenset({"sql_injection"})).validate(ATTACK).warnings == ()


def test_the_profile_is_handed_on() -> None:
    text = "`whoami`"
    assert [bool(StringType(profile=profile).validate(text).warnings) for profile in ("parameter", "prose")] == [
        True,
        False,
    ]


def test_a_threat_tells_its_families_rules_score_and_length_but_not_the_text() -> None:
    [problem] = StringType(threats="block").validate(ATTACK).errors
    threat = problem.threat
    assert threat is not None
    assert (threat.policy, threat.families, threat.length) == ("block", ("xss",), len(ATTACK))
    assert "script_tag" in threat.rules
    assert threat.score >= 5
    assert "alert" not in repr(problem)


def test_equal_attacks_have_equal_digests_in_one_process() -> None:
    def digest(text: str) -> str:
        [problem] = StringType().validate(text).warnings
        assert problem.threat is not None
        return problem.threat.digest

    assert digest(ATTACK) == digest(ATTACK)
    assert digest(ATTACK) != digest(ATTACK + " ")


def test_nobody_without_the_key_of_the_process_can_make_a_digest() -> None:
    [problem] = StringType().validate(ATTACK).warnings
    assert problem.threat is not None
    assert problem.threat.digest != hashlib.blake2b(ATTACK.encode(), digest_size=8).hexdigest()


def test_a_text_longer_than_what_detectors_read_is_told_to_be_partly_unchecked() -> None:
    assert [problem.code for problem in StringType().validate("a" * 6_000).warnings] == ["partly_unchecked"]
    assert StringType().validate("a" * 5_000).warnings == ()


def test_an_attack_hidden_by_characters_that_cleaning_drops_is_found() -> None:
    result = StringType(threats="block").validate("<scr\u200bipt>alert(1)</scr\u200bipt>")
    assert codes(result) == ["threat"]


def matching(threads: int) -> AbstractContextManager[None]:
    """Threads that keep the automaton of one pattern building states, under its lock."""
    numbers = [itertools.count(1) for _ in range(threads)]

    def match(thread: int) -> None:
        text = f"{next(numbers[thread]):b}".replace("0", "a").replace("1", "b")
        compiled(r"(a|b)*a(a|b){12}c?")(text.encode() * 50)

    return at_work(match, threads)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_while_other_threads_match_is_never_stuck(
    in_child: Callable[[Callable[[], object]], str],
) -> None:
    kind = StringType(pattern=r"(a|b)*a(a|b){12}c?", threats="off")
    with matching(4):
        answers = {in_child(lambda: bool(kind.validate("a" * 40))) for _ in range(20)}
    assert answers == {"True"}


def test_a_child_compiles_patterns_of_its_own(in_child: Callable[[Callable[[], object]], str]) -> None:
    parents = compiled("of its own")
    same = in_child(lambda: compiled("of its own").__self__ is parents.__self__)  # type: ignore[attr-defined]
    assert same == "False"


def test_a_problem_reads_as_a_sentence() -> None:
    [problem] = StringType(max_length=3).validate("abcd").errors
    assert problem == Problem("too_long", "It may have at most 3 characters.", (), 3)
