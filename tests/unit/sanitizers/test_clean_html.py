from __future__ import annotations

from collections import Counter

import pytest

from spanguard.errors import ConfigurationError
from spanguard.validation.sanitizers import MAX_HTML, ContentSanitizer, clean_html
from spanguard.validation.sanitizers import html as module
from spanguard.validation.sanitizers.markup import MOST_NESTED, balanced, stays

REL = 'rel="noopener noreferrer nofollow"'


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("<p>Hello <b>you</b> &amp; me</p>", "<p>Hello <b>you</b> &amp; me</p>"),
        ("a<script>alert(1)</script>b<style>p{}</style>c", "abc"),
        ("<img src=x onerror=alert(1)>x", "x"),
        ("<b onclick=alert(1) style='color:red' class=x id=y>x</b>", "<b>x</b>"),
        ("<a href='https://a.test/?x=1&y=2'>x</a>", f'<a href="https://a.test/?x=1&amp;y=2" {REL}>x</a>'),
        ("<a href='/here'>x</a>", f'<a href="/here" {REL}>x</a>'),
        ("<a href='javascript:alert(1)'>x</a>", f"<a {REL}>x</a>"),
        ("<a href=' java\nscript:alert(1)'>x</a>", f"<a {REL}>x</a>"),
        ("<a href='data:text/html,x'>x</a>", f"<a {REL}>x</a>"),
        ("<div><h1>x</h1></div>", "x"),
        ("<svg><a href='javascript:alert(1)'><text>x</text></a></svg>y", "y"),
        ("1 < 2 && 3 > 2", "1 &lt; 2 &amp;&amp; 3 &gt; 2"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("<b>x&#x202e;y\u202ez\0</b>", "<b>xyz</b>"),
        ("<scr\u200bipt>alert(1)</scr\u200bipt>x", "x"),
        ("<pre>\n\n\nx\ny</pre>", "<pre>x\ny</pre>"),
        ("\ud800<b>x</b>\udfff", "<b>x</b>"),
        ("Zwo\u0308lf", "Zwölf"),
    ],
)
def test_basic_html(dirty: str, clean: str) -> None:
    assert clean_html(dirty) == clean


def test_rich_html_keeps_headings_tables_and_pictures() -> None:
    page = (
        '<h1>A</h1><table><tbody><tr><td colspan="2">x</td></tr></tbody></table>'
        '<img src="https://a.test/a.png" alt="a" width="1"><hr>'
    )
    assert clean_html(page, "rich") == page


@pytest.mark.parametrize("source", ["data:image/svg+xml,x", "javascript:1", "blob:x", "file:///x"])
def test_a_picture_comes_from_the_web(source: str) -> None:
    assert clean_html(f"<img src='{source}'>", "rich") == "<img>"


def test_the_text_policy_keeps_text_alone() -> None:
    assert clean_html("<p>a <b>b</b> &lt;i&gt;</p><script>x</script>", "text") == "a b &lt;i&gt;"


def test_a_mark_that_would_swallow_the_end_of_a_tag_makes_no_attribute() -> None:
    # U+0338 after `>` is composed to U+226F: `<b>` would stay open, and take what follows as attributes.
    assert "onclick" not in clean_html("<b>&#x338; onclick=alert(1) x=</b>")


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'text', 'basic' and 'rich'"):
        clean_html("x", "lax")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "piece", ["x", "&", "<", "<b>", "<br>", "<p>x</p>", "<a href=x>", "\xa0", "<i><b></i>", "\u0958", "<b><p>"]
)
@pytest.mark.parametrize("policy", ["text", "basic", "rich"])
def test_what_comes_out_is_bounded_and_stays(piece: str, policy: module.HtmlPolicy) -> None:
    once = clean_html(piece * (2 * MAX_HTML // len(piece)), policy)
    assert len(once) <= MAX_HTML
    assert clean_html(once, policy) == once


def test_of_a_long_page_the_beginning_is_kept() -> None:
    page = "<p>hello <b>you</b></p>" * 20_000
    once = clean_html(page)
    assert page.startswith(once[:-10])
    assert len(once) > 0.99 * MAX_HTML


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 5_000,
        "<b>" * 900,
        "<ul><li>" * 5_000,
        "".join(f"<b a={number}><p>" for number in range(3_000)) + "</b>" * 3_000,
        "".join(f"<b a={number}>" for number in range(3_000)) + "<p>x" * 3_000,
        "<b><!--</b>-->" * 3_000,
    ],
)
def test_nh3_gets_nothing_that_is_deeply_nested(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    depths: list[int] = []

    class Spy:
        def __init__(self, tags: frozenset[str]) -> None:
            self.inner = module._cleaner(tags)
            self.tags, self.nh3 = tags, self

        def clean(self, html: str) -> str:
            depths.append(depth(html))
            return self.inner.nh3.clean(html)

    monkeypatch.setitem(module._CLEANERS, "rich", Spy(module._RICH))
    clean_html(page, "rich")
    assert max(depths) <= MOST_NESTED


def depth(html: str) -> int:
    starts, deepest, now = Counter[str](), 0, 0
    for piece in html.split("<")[1:]:
        name = piece.strip("/").split(">")[0].split()[0]
        if piece.startswith("/"):
            assert starts[name] > 0
            starts[name] -= 1
            now -= 1
        else:
            starts[name] += 1
            now += 1
        deepest = max(deepest, now)
    assert now == 0
    return deepest


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("<b><i>x</b>y</i>", "<b><i>x</i></b>y"),
        ("<p>a<p>b", "<p>a</p><p>b</p>"),
        ("<ul><li>a<li>b<ul><li>c</ul></ul>", "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>"),
        ("<table><tr><td>a<td>b<tr><td>c</table>", "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>"),
        ("<a>x<a>y</a>", "<a>x</a><a>y</a>"),
        ("<h1>x<h2>y</h2>", "<h1>x</h1><h2>y</h2>"),
        ("a<br>b<hr/>c", "a<br>b<hr/>c"),
        ("a<script>if (a<b) x</script>b<textarea><b></textarea>c", "abc"),
        ("a<!-- <b> -->b<!doctype x>c</ >d<?x?>e", "abcde"),
        ("a < b <c", "a &lt; b &lt;c"),
        ("a<!-- b", "a"),
        ("<b title='>'>x</b>", "<b title='>'>x</b>"),
        ("<font><center>x</center></font>", "x"),
        ("</b>x", "x"),
    ],
)
def test_balanced(dirty: str, clean: str) -> None:
    assert balanced(dirty, module._RICH, 10_000, "") == clean


@pytest.mark.parametrize(
    "written",
    [
        "<p>x<p>y</p></p>",
        "<p><ul><li>x</li></ul></p>",
        "<a><b><a>x</a></b></a>",
        "<ul><li>x<li>y</li></li></ul>",
        "<h1><h2>x</h2></h1>",
        "<table></table>",
        "<b>",
        "</b>",
        "<b>x</i>",
        "<b>" * 60 + "</b>" * 60,
    ],
)
def test_a_tree_that_a_parser_would_mend_does_not_stay(written: str) -> None:
    assert not stays(written)


@pytest.mark.parametrize("written", ["", "x", "<p>x <b>y</b></p><ul><li>a<ul><li>b</li></ul></li></ul>", "a<br>b"])
def test_a_tree_that_is_read_as_it_is_stays(written: str) -> None:
    assert stays(written)
    assert clean_html(written) == written


def test_limits_that_are_out_of_range_are_refused_together() -> None:
    with pytest.raises(ConfigurationError) as refused:
        ContentSanitizer(max_length=-1, max_html=True, max_json_depth=10_000, keep_joiners=1)  # type: ignore[arg-type]
    assert all(name in str(refused.value) for name in ("max_length", "max_html", "max_json_depth", "keep_joiners"))
