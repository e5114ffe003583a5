from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz import FUZZ
from spanguard.validation.sanitizers import clean_text

pytestmark = pytest.mark.fuzz

ANY_TEXT = st.text(st.characters(exclude_categories=()))
ODD_TEXT = st.text(
    st.sampled_from(
        "ae<=\u0301\u0327\u0338\u0958\u093c\u0344\u09c7\u09be\u1100\u1161\u11a8\u2adc\u034f\u200d\u200b\ud800\udc00\r\n\0"
    ),
    max_size=120,
)


@FUZZ
@given(st.one_of(ANY_TEXT, ODD_TEXT), st.booleans())
def test_cleaning_twice_changes_nothing_more(text: str, keep_joiners: bool) -> None:
    once = clean_text(text, keep_joiners=keep_joiners)
    assert clean_text(once, keep_joiners=keep_joiners) == once
    assert unicodedata.is_normalized("NFC", once)


@FUZZ
@given(st.one_of(ANY_TEXT, ODD_TEXT))
def test_nothing_unseen_survives(text: str) -> None:
    once = clean_text(text)
    assert all(char in "\t\n" or unicodedata.category(char) not in {"Cc", "Cs"} for char in once)
    assert not set("\u200b\u200c\u200d\u2060\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(once)
    once.encode()


@FUZZ
@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters="\u115f\u1160\u3164\uffa0")))
def test_what_is_seen_stays(text: str) -> None:
    assert clean_text(text) == unicodedata.normalize("NFC", text)
