from __future__ import annotations

import unicodedata

import pytest

from spanguard.validation import normal_form
from spanguard.validation.sanitizers import clean_text

# The ideographs of planes 2 and 3, the planes without characters and those of private use are alike within.
CODES = (
    *range(0x20000),
    *range(0xE0000, 0xE1000),
    *(end - 1 + i for end in range(0x2FFFF, 0x110000, 0x10000) for i in (0, 1)),
)


@pytest.fixture(scope="module")
def cleaned() -> dict[str, str]:
    """Each code point, and what becomes of it."""
    return {char: clean_text(char) for char in map(chr, CODES)}


def test_plain_text_stays_as_it_is() -> None:
    text = "The quick brown fox, 12 €.\n\tZwölf Boxkämpfer; 東京, Ελλάδα, 👍🏽, ❤\ufe0f."
    assert clean_text(text) == text


def test_letters_are_composed() -> None:
    assert clean_text("Zwo\u0308lf, e\u0301") == "Zwölf, é"


@pytest.mark.parametrize("line_break", ["\r\n", "\r", "\n", "\v", "\f", "\x85", "\u2028", "\u2029"])
def test_each_kind_of_line_break_becomes_one(line_break: str) -> None:
    assert clean_text(f"a{line_break}b") == "a\nb"


UNSEEN = (
    "\0\x1b\x7f\x9b\ud800\udfff\u202e\u2066\u061c\u200b\u200d\u2060\ufeff\xad\ufffe\ufdd0\U0010ffff\U000e0041\u3164"
)


@pytest.mark.parametrize("unseen", UNSEEN)
def test_what_is_not_seen_goes(unseen: str) -> None:
    assert clean_text(f"a{unseen}b") == "ab"


def test_no_control_surrogate_or_unassigned_plane_end_survives(cleaned: dict[str, str]) -> None:
    survivors = [char for char, clean in cleaned.items() if clean]
    assert [char for char in survivors if unicodedata.category(char) == "Cs"] == []
    assert {cleaned[char] for char in survivors if unicodedata.category(char) == "Cc"} == {"\t", "\n"}
    assert [char for char in survivors if ord(char) & 0xFFFE == 0xFFFE] == []


def test_no_character_that_turns_the_direction_survives(cleaned: dict[str, str]) -> None:
    turning = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    assert [char for char, clean in cleaned.items() if clean and unicodedata.bidirectional(char) in turning] == []


def test_no_letter_or_sign_that_is_seen_is_lost(cleaned: dict[str, str]) -> None:
    lost = {char for char, clean in cleaned.items() if not clean and unicodedata.category(char)[0] in "LMNPSZ"}
    assert lost == set("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")


def test_joiners_stay_if_asked_for() -> None:
    assert clean_text("ශ්‍රී ලංකා \u202e", keep_joiners=True) == "ශ්‍රී ලංකා "
    assert clean_text("ශ්‍රී ලංකා") == "ශ්රී ලංකා"


def test_a_long_run_of_marks_is_cut() -> None:
    assert len(clean_text("a" + "\u0327\u0301" * 50_000 + "b")) <= 32


@pytest.mark.parametrize("before", range(70))
def test_each_run_is_cut_wherever_it_begins(before: int) -> None:
    run = "\u0327" * (normal_form.MOST_MARKS + 1)
    kept = run[1:]
    assert clean_text(f"{'x' * before}{run}x{run}xx{run}") == f"{'x' * before}{kept}x{kept}xx{kept}"


def test_a_letter_that_comes_apart_does_not_make_a_longer_run() -> None:
    text = clean_text("\u0958" + "\u0301" * 40)
    assert clean_text(text) == text
    assert sum(map(bool, map(unicodedata.combining, text))) == normal_form.MOST_MARKS


def test_every_combining_mark_counts(cleaned: dict[str, str]) -> None:
    marks = [char for char, clean in cleaned.items() if clean == char and unicodedata.combining(char)]
    assert len(marks) > 800
    assert [mark for mark in marks if len(clean_text(mark * 40)) > normal_form.MOST_MARKS] == []


def test_a_subclass_of_str_becomes_a_plain_one() -> None:
    class Hostile(str):
        __slots__ = ()

        def __str__(self) -> str:
            raise AssertionError

        def isascii(self) -> bool:
            raise AssertionError

    assert type(clean_text(Hostile("a\0b"))) is str
    assert clean_text(Hostile("a\0b")) == "ab"
