"""Which items are announcements."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tge_monitor.matching import Matcher
from tge_monitor.model import Item


def item(title: str, summary: str = "") -> Item:
    return Item("rss", "https://news.example/1", title, summary, None)


def test_a_keyword_in_the_title_weighs_more_than_one_in_the_text() -> None:
    matcher = Matcher(["TGE"], [])
    in_title, in_text = matcher.match(item("The TGE is near")), matcher.match(item("News", "The TGE is near"))
    assert in_title is not None
    assert in_text is not None
    assert (in_title.score, in_text.score) == (2, 1)


def test_a_match_says_what_was_found_and_where() -> None:
    match = Matcher(["token sale"], ["Acme"]).match(item("Acme news", "A token\n sale is planned"))
    assert match is not None
    assert match.why == ("keyword 'token sale' in the text", "company 'Acme' in the title")
    assert match.score == 1 + 3


def test_a_company_without_a_keyword_is_no_announcement() -> None:
    assert Matcher(["TGE"], ["Acme"]).match(item("Acme hires a cook", "Acme, Acme")) is None


def test_a_score_below_the_minimum_is_no_announcement() -> None:
    matcher = Matcher(["TGE"], ["Acme"], minimum_score=3)
    assert matcher.match(item("The TGE")) is None
    assert matcher.match(item("The TGE of Acme")) is not None


def test_only_whole_words_count() -> None:
    matcher = Matcher(["TGE"], [])
    assert matcher.match(item("Outgenerated: TGEs, ATGE, tge_x")) is None
    assert matcher.match(item("($TGE)")) is not None


def test_case_width_and_accents_do_not_matter() -> None:
    matcher = Matcher(["TGE"], ["Zürich Labs"])
    match = matcher.match(item("\uff34\uff27\uff25 by ZURICH  LABS"))
    assert match is not None
    assert match.score == 2 + 3


def test_signs_in_a_term_mean_themselves() -> None:
    assert Matcher(["c++ (beta)"], []).match(item("cxx beta")) is None
    assert Matcher(["c++ (beta)"], []).match(item("now: C++ (Beta)!")) is not None


@given(st.text(min_size=1).filter(str.strip), st.text(), st.text())
def test_no_text_and_no_term_makes_it_raise(term: str, title: str, summary: str) -> None:
    Matcher([term], [term]).match(item(title, summary))


@given(st.from_regex(r"[a-z]{1,8}( [a-z]{1,8}){0,2}", fullmatch=True), st.from_regex(r"[a-z ]{0,20}", fullmatch=True))
def test_a_term_between_other_words_is_always_found(term: str, around: str) -> None:
    match = Matcher([term], []).match(item(f"{around} {term.upper()}, {around}"))
    assert match is not None
    assert match.score == 2
