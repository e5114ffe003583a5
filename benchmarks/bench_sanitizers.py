"""Cleaning HTML against nh3 alone with the same allowlist."""

from __future__ import annotations

import nh3
from common import Figure, Timer, timing

from spanguard.validation.sanitizers import clean_html
from spanguard.validation.sanitizers.html import _BASIC, _REL
from spanguard.validation.sanitizers.markup import UNREADABLE

PAGE = (
    '<p>Dear <b>all</b>, see <a href="https://example.org/x?a=1&b=2" onclick="x()">the page</a> for <i>more</i> &amp; '
    "<script>alert(1)</script>tell us.</p>\n<ul><li>one</li><li>two</li></ul>\n"
)
ONE_KILOBYTE = (PAGE * 6)[:1024]


def ours() -> Timer:
    assert "<script" not in clean_html(ONE_KILOBYTE)
    return timing(lambda: clean_html(ONE_KILOBYTE))


def nh3_alone() -> Timer:
    tags, unreadable, attributes, schemes = (
        set(_BASIC),
        set(UNREADABLE),
        {"a": {"href", "title"}},
        {"http", "https", "mailto"},
    )
    return timing(
        lambda: nh3.clean(
            ONE_KILOBYTE,
            tags=tags,
            attributes=attributes,
            clean_content_tags=unreadable,
            url_schemes=schemes,
            link_rel=_REL,
        )
    )


FIGURES = [
    Figure(
        "html",
        "1 kB of HTML with a script and a handler cleaned",
        1.3,
        ours,
        nh3_alone,
        "nh3.clean, the same allowlist",
    ),
]
