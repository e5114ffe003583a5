"""What each cleaner promises, for any text: it raises nothing, and what it made itself it leaves as it is."""

from __future__ import annotations

import csv
import html
import io
import json
import shlex
import unicodedata
from collections.abc import Callable
from html.parser import HTMLParser
from typing import get_args
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz import FUZZ
from spanguard.validation.sanitizers import (
    ContentSanitizer,
    HtmlPolicy,
    clean_filename,
    clean_html,
    clean_json,
    clean_text,
    csv_cell,
    html_attribute,
    js_string,
    log_line,
    plain_text,
    read_json,
    shell_argument,
    url_parameter,
)
from unit.sanitizers.samples import FILENAME_PIECES, JSON_PIECES, MARKUP_PIECES, RICH_TAGS, SIGNS

pytestmark = pytest.mark.fuzz

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=200)


def pieces(of: tuple[str, ...], most: int = 60) -> st.SearchStrategy[str]:
    return st.lists(
        st.one_of(st.sampled_from(of), st.text(st.characters(exclude_categories=()), max_size=2)), max_size=most
    ).map("".join)


MARKUP = st.one_of(pieces(MARKUP_PIECES), pieces(MARKUP_PIECES, 300), ANY_TEXT)
TEXT = st.one_of(ANY_TEXT, pieces(SIGNS))
POLICY: st.SearchStrategy[HtmlPolicy] = st.sampled_from(get_args(HtmlPolicy))
SMALL = ContentSanitizer(max_length=1_000, max_html=1_000, max_json=1_000)


class Elements(HTMLParser):
    """The tags and attributes of a page as another parser sees them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs


@FUZZ
@given(MARKUP, POLICY)
def test_html_that_is_clean_stays(text: str, policy: HtmlPolicy) -> None:
    once = clean_html(text, policy)
    assert clean_html(once, policy) == once


@FUZZ
@given(pieces(MARKUP_PIECES, 400), POLICY)
def test_html_at_its_limit_stays(text: str, policy: HtmlPolicy) -> None:
    once = SMALL.html(text, policy)
    assert len(once) <= 1_000
    assert SMALL.html(once, policy) == once


@FUZZ
@given(MARKUP)
def test_html_holds_nothing_that_is_not_allowed(text: str) -> None:
    once = clean_html(text, "rich")
    elements = Elements(once)
    assert elements.tags <= RICH_TAGS
    assert {name for name, _ in elements.attributes} <= {
        *("href", "title", "rel", "src", "alt", "width", "height", "colspan", "rowspan")
    }
    for name, value in elements.attributes:
        if name in {"href", "src"} and value and ":" in value.partition("/")[0].partition("?")[0].partition("#")[0]:
            assert value.lower().startswith(("http:", "https:", "mailto:"))
    assert clean_text(once) == once


@FUZZ
@given(MARKUP)
def test_the_text_policy_leaves_no_tag(text: str) -> None:
    assert "<" not in clean_html(text, "text")


@FUZZ
@given(st.one_of(TEXT, pieces(FILENAME_PIECES, 120)), st.sampled_from([64, 100, 255]))
def test_a_file_name_is_one_on_every_system(text: str, max_bytes: int) -> None:
    once = clean_filename(text, max_bytes=max_bytes)
    assert clean_filename(once, max_bytes=max_bytes) == once
    assert 0 < len(once.encode()) <= max_bytes
    assert not set(once) & set('<>:"/\\|?*') | set(unicodedata.normalize("NFKC", once)) & set('<>:"/\\|*')
    assert once[0] not in ".-~ "
    assert once[-1] not in ". "
    assert all(char.isprintable() or unicodedata.category(char) in {"Co", "Cn", "Cf"} for char in once)
    stem = unicodedata.normalize("NFKC", once.partition(".")[0]).strip().upper()
    assert stem not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT9", "COM0", "CONIN$", "CONOUT$"}


@FUZZ
@given(st.one_of(pieces(JSON_PIECES), ANY_TEXT))
def test_json_that_is_clean_stays(text: str) -> None:
    once = clean_json(text)
    assert clean_json(once) == once
    assert not set("<>&") & set(once)
    json.loads(once, parse_constant=pytest.fail)


JSON_VALUES: st.SearchStrategy[object] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | ANY_TEXT.map(clean_text),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            ANY_TEXT.map(clean_text).filter(lambda key: key not in {"__proto__", "constructor", "prototype"}),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@FUZZ
@given(JSON_VALUES, st.booleans())
def test_json_of_clean_values_is_read_as_they_are(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert read_json(text).sanitized_value == value
    assert json.loads(clean_json(text)) == value


ESCAPERS: list[Callable[[str], str]] = [
    html_attribute,
    js_string,
    url_parameter,
    csv_cell,
    log_line,
    shell_argument,
    plain_text,
    SMALL.html_attribute,
    SMALL.js_string,
    SMALL.url_parameter,
    SMALL.csv_cell,
    SMALL.log_line,
    SMALL.shell_argument,
    SMALL.text,
    SMALL.filename,
    SMALL.json,
]


@pytest.mark.parametrize("escape", ESCAPERS, ids=lambda escape: escape.__qualname__)
@FUZZ
@given(st.one_of(TEXT, TEXT.map(lambda text: text * 30)))
def test_what_is_written_for_a_place_stays(escape: Callable[[str], str], text: str) -> None:
    once = escape(text)
    assert escape(once) == once
    once.encode()


@FUZZ
@given(TEXT)
def test_an_attribute_ends_where_it_should(text: str) -> None:
    once = html_attribute(text)
    assert not set("<>\"'`\n\t") & set(once)
    page = Elements(f'<p title="{once}">')
    assert page.tags == {"p"}
    assert page.attributes == [("title", clean_text(html.unescape(text)))]


@FUZZ
@given(TEXT)
def test_a_string_of_javascript_ends_where_it_should(text: str) -> None:
    once = js_string(text)
    assert not set("<>&\"'`$\n\r\u2028\u2029") & set(once)
    assert once.replace("\\u", "").count("\\") == 0
    assert js_string(json.loads(f'"{once}"')) == once


@FUZZ
@given(TEXT)
def test_a_parameter_of_a_url_is_one(text: str) -> None:
    once = url_parameter(text)
    assert set(once) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%")
    read = parse_qsl(f"a={once}&b=1", keep_blank_values=True)
    assert [key for key, _ in read] == ["a", "b"]
    assert clean_text(read[0][1]) == read[0][1]


@FUZZ
@given(TEXT)
def test_a_cell_is_one_line_and_no_formula(text: str) -> None:
    once = csv_cell(text)
    sheet = io.StringIO()
    csv.writer(sheet).writerow([once, "next"])
    assert next(csv.reader(io.StringIO(sheet.getvalue()))) == [once, "next"]
    start = unicodedata.normalize("NFKC", once).lstrip(' "')[:1]
    assert start not in {"=", "@"}
    if start in {"+", "-"}:
        float(unicodedata.normalize("NFKC", once).replace(",", ".").removesuffix("%"))
    assert len(once.splitlines()) <= 1


@FUZZ
@given(TEXT)
def test_a_line_of_a_log_is_one_line(text: str) -> None:
    assert len(log_line(text).splitlines()) <= 1
    assert log_line(text).isprintable() or not {"Cc", "Cs", "Zl", "Zp"} & {
        unicodedata.category(c) for c in log_line(text)
    }


@FUZZ
@given(TEXT)
def test_an_argument_of_a_shell_is_one(text: str) -> None:
    words = shlex.split(f"echo {shell_argument(text)} next")
    assert words[0] == "echo"
    assert words[2:] == ["next"]
    assert clean_text(words[1]) == words[1]
