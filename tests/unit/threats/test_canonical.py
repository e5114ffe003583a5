"""The one plain view: each spelling undone, each bound kept."""

from __future__ import annotations

import unicodedata

import pytest

from spanguard.validation.threats import canonical
from spanguard.validation.threats.canonical import HEAD, TAIL


@pytest.mark.parametrize(
    ("spelled", "plain"),
    [
        ("%3Cb%3E", "<b>"),
        ("%253Cb%253E", "<b>"),
        ("%25253Cb%25253E", "<b>"),
        ("%2525253Cb", "%3cb"),  # the fourth layer stays
        ("&lt;b&gt;", "<b>"),
        ("&#60;b&#x3e;", "<b>"),
        ("&#0000060b&#X0003E", "<b>"),
        ("&ltb&gt", "<b>"),
        ("a&colon;b&NewLine;c", "a:b\nc"),
        ("&copy=1&no=2", "&copy=1&no=2"),
        ("\\x3cb\\u003e", "<b>"),
        ("\\u{3c}b", "<b"),
        ("%u003cb", "<b"),
        ("%26lt%3Bb", "<b"),
        ("\uff1c\uff22\uff1e", "<b>"),
        ("%EF%BC%9Cb", "<b"),
        ("\u2018a\u2019 \u201cb\u201d", "'a' \"b\""),
        ("%c0%ae%c0%af", "./"),
        ("%e0%80%af", "/"),
        ("%f0%80%80%ae", "."),
        ("%c1%9c", "\\"),
        ("%ff", "\ufffd"),
        ("SeLeCt", "select"),
        ("se\u200bl\u00adect", "select"),
        ("se\x00lect\x07", "select"),
        ("a\u202eb", "ab"),
        ("a\ud800b", "ab"),
        ("  a \t b  ", "a b"),
        ("a \r\n\t b", "a\nb"),
        ("a/**/b", "a b"),
        ("a/* x y */b", "a b"),
        ("/*!50000union*/ b", "union b"),
        ("a#x\nb", "a\nb"),
        ("a--x\nb", "a\nb"),
        ("/*<script>*/", "/*<script>"),  # a comment for one interpreter is code for another
        ("&#9999999;", "&#9999999;"),
        ("\\u{ffffff}", "\\u{ffffff}"),
    ],
)
def test_a_spelling_is_undone(spelled: str, plain: str) -> None:
    assert canonical(spelled) == (plain, False)


@pytest.mark.parametrize("length", [HEAD + TAIL + 1, 1_000_000])
def test_the_view_of_a_long_text_is_that_of_its_ends(length: int) -> None:
    text = "".join(chr(97 + index % 26) for index in range(length))
    assert canonical(text) == (f"{text[:HEAD]}\n{text[-TAIL:]}", True)


def test_characters_that_grow_do_not_grow_the_view_without_bound() -> None:
    view, _ = canonical("\ufdfa" * (HEAD + TAIL))  # each becomes eighteen characters
    assert len(view) <= 2 * (HEAD + TAIL) + 18 * 64


def test_a_run_of_combining_marks_is_put_in_order_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[int] = []
    real = unicodedata.normalize

    def normalize(form: str, text: str) -> str:
        pieces.append(len(text))
        return real(form, text)  # type: ignore[arg-type]

    monkeypatch.setattr(unicodedata, "normalize", normalize)
    canonical("a" + "\u0301\u0327" * 2_000)
    assert max(pieces) <= 64
    assert sum(pieces) == 4_001
