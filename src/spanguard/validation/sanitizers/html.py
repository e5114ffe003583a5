"""HTML from strangers: what an allowlist lets through, by nh3."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

import nh3

from spanguard.errors import ConfigurationError
from spanguard.validation.sanitizers.markup import UNREADABLE, balanced, cut, stays
from spanguard.validation.sanitizers.text import beginning, clean_text

HtmlPolicy = Literal["text", "basic", "rich"]

MAX_HTML: Final = 100_000
"""Characters of HTML that are read, and the most that come out."""

_FEW_TAGS = 100  # so many, however nested, cost less than a millisecond
_SHORT = 20  # no text of a twentieth of the limit can outgrow it when nh3 writes it
_REL = "noopener noreferrer nofollow"
_ROUNDS = 4
_PRE = re.compile("<pre>\n+")

_BASIC = frozenset("a b blockquote br code em i li ol p pre s strong sub sup u ul".split())  # noqa: SIM905
_RICH = _BASIC | frozenset(
    "abbr caption cite dd del details dl dt figcaption figure h1 h2 h3 h4 h5 h6 hr img ins kbd mark q samp small summary"  # noqa: SIM905
    " table tbody td tfoot th thead tr var".split()
)
_TITLED = frozenset({"a", "abbr", "img"})


@dataclass(frozen=True, slots=True)
class _Cleaner:
    tags: frozenset[str]
    nh3: nh3.Cleaner


def _cleaner(tags: frozenset[str]) -> _Cleaner:
    attributes = {name: {"title"} for name in _TITLED & tags}
    if "a" in tags:
        attributes["a"] |= {"href"}
    if "img" in tags:
        attributes["img"] |= {"src", "alt", "width", "height"}
        attributes |= {name: {"colspan", "rowspan"} for name in ("td", "th")}
    return _Cleaner(
        tags,
        nh3.Cleaner(
            tags=set(tags),
            attributes=attributes,
            clean_content_tags=set(UNREADABLE),
            url_schemes={"http", "https", "mailto"},
            link_rel=_REL,
        ),
    )


_POLICIES = get_args(HtmlPolicy)
_CLEANERS: dict[str, _Cleaner] = {
    "text": _cleaner(frozenset()),
    "basic": _cleaner(_BASIC),
    "rich": _cleaner(_RICH),
}


def clean_html(html: str, policy: HtmlPolicy = "basic", *, max_length: int = MAX_HTML) -> str:
    """Return HTML that holds the allowed elements and nothing that runs.

    It goes between tags of a page, never into an attribute, a script or a style. Cleaning twice changes nothing more.
    Raises nothing because of the input; what is not a string gives an empty one.

    Args:
        html: a fragment of HTML.
        policy: "text" keeps no element at all (the text stays escaped), "basic" what a comment needs (paragraphs, lists,
            emphasis, code, links), "rich" what an article needs: headings, tables and pictures besides. None keeps
            style, class, id, scripts, forms, frames, SVG, MathML or a link that is not http, https or mailto.
        max_length: characters that are read, and the most that come out.

    Raises:
        ConfigurationError: a policy that does not exist.
    """
    if policy not in _POLICIES:
        raise ConfigurationError(f"policy={policy!r}: there is 'text', 'basic' and 'rich'.")
    cleaner = _CLEANERS[policy]
    text = beginning(html, max_length)
    for _ in range(_ROUNDS):
        # What is composed or dropped after nh3 could make another tag: nh3 has the last word, or there is another round.
        before = clean_text(text)
        text = _cleaned(before, cleaner, max_length)
        if len(text) > max_length:
            text = cut(text, max_length * 9 // 10)
        elif clean_text(text) == text and (text == before or stays(text)):
            return text
    # Nested in such a way that it never comes to rest: its text alone does.
    return cut(clean_text(_CLEANERS["text"].nh3.clean(clean_text(text))), max_length)


def _cleaned(text: str, cleaner: _Cleaner, room: int) -> str:
    if len(text) > room // _SHORT or text.count("<") > _FEW_TAGS:
        text = balanced(text, cleaner.tags, room, f' rel="{_REL}"')
    text = cleaner.nh3.clean(text)
    # The line break after <pre> is not part of the text; each reading would drop another one.
    return _PRE.sub("<pre>", text) if "<pre>\n" in text else text
