"""Text from anywhere, made plain."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tge_monitor.text import is_web_link, one_line, text_of_markup


def test_markup_is_taken_away_and_its_text_kept() -> None:
    assert text_of_markup("<p>Token&nbsp;<b>sale</b></p><p>soon &amp; big</p>", 100) == "Token sale soon & big"


def test_scripts_and_styles_are_no_text() -> None:
    assert text_of_markup("a<script>alert(1)</script>b<style>p{}</style>c", 100) == "a b c"


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "piece", ["<ul><li>", "<", "<a ", "<!--", "</", "<a x='", "<script>", "<script></", "&", "<![CDATA[", "&#9"]
)
def test_hostile_markup_is_read_to_an_end(piece: str) -> None:
    assert len(text_of_markup(piece * (50_000 // len(piece)), 100)) <= 100


def test_a_reference_to_no_character_is_the_replacement_character() -> None:
    assert text_of_markup(f"a&#{'9' * 5000};b&#x{'f' * 5000};z", 100) == "a\ufffdb\ufffdz"


def test_signs_that_are_no_tags_are_text() -> None:
    assert text_of_markup("1 < 2 > 0 &lt;b&gt;", 100) == "1 < 2 > 0 <b>"


def test_control_invisible_and_unpaired_characters_are_taken_away() -> None:
    assert one_line("a\x00b\u202ec\ud800d\u200be", 100) == "abcde"


def test_a_long_text_is_cut_to_the_limit() -> None:
    assert one_line("abcdef", 4) == "abc…"


@given(st.text(alphabet=st.characters(), max_size=300))
def test_what_comes_out_is_short_clean_and_stays_as_it_is(text: str) -> None:
    once = text_of_markup(text, 50)
    assert len(once) <= 50
    assert not any(unicodedata.category(char).startswith("C") for char in once)
    assert one_line(once, 50) == once


@pytest.mark.parametrize("link", ["https://a.example/x?y=1#z", "http://127.0.0.1:8000/", "https://bücher.example/"])
def test_web_addresses_are_links(link: str) -> None:
    assert is_web_link(link)


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "//a.example/",
        "/path",
        "https://",
        "https://user:password@a.example/",
        "https://a.example/\nBcc: x",
        "https://a.example/ b",
        "https://[::1",
        "ftp://a.example/",
        "https://a.example/" + "x" * 2000,
    ],
)
def test_nothing_else_is_a_link(link: str) -> None:
    assert not is_web_link(link)
