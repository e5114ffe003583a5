"""Whatever a source sends, as plain text: no markup, no control characters, bounded."""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Final
from urllib.parse import urlsplit

MAX_TITLE: Final = 300
MAX_SUMMARY: Final = 2000
MAX_LINK: Final = 2000

_MAX_MARKUP: Final = 50_000
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_HIDDEN: Final = frozenset({"script", "style"})
_TAG: Final = re.compile(r"<(?P<end>/?)(?P<name>[a-zA-Z!?][a-zA-Z0-9]*)[^<>]*>")
# More digits than any character has; Python refuses to turn thousands of them into a number.
_ENDLESS_REFERENCE: Final = re.compile(r"&#[xX]?[0-9a-fA-F]{9,};?")
_SPACES: Final = re.compile(r"\s+")


def text_of_markup(markup: str, limit: int) -> str:
    """Return the text of an HTML fragment, on one line, at most `limit` characters; in time linear in its length.

    The standard library's HTML parser takes minutes for some 50 kB that never close a tag. This shows what is between
    tags, except in scripts and styles; whether the tags belong together does not matter for that.
    """
    pieces: list[str] = []
    hidden_in, shown_to = "", 0
    for tag in _TAG.finditer(markup[:_MAX_MARKUP]):
        name = tag["name"].lower()
        if not hidden_in:
            pieces.append(markup[shown_to : tag.start()])
            hidden_in = name if name in _HIDDEN and not tag["end"] else ""
        elif name == hidden_in and tag["end"]:
            hidden_in = ""
        shown_to = tag.end()
    if not hidden_in:
        pieces.append(markup[shown_to:_MAX_MARKUP])
    return one_line(html.unescape(_ENDLESS_REFERENCE.sub("", " ".join(pieces))), limit)


def one_line(text: str, limit: int) -> str:
    """Return the text without control, invisible and unpaired characters, on one line, at most `limit` characters."""
    spaced = _SPACES.sub(" ", text)
    clean = "".join(char for char in spaced if unicodedata.category(char) not in _INVISIBLE).strip()
    return clean if len(clean) <= limit else clean[: limit - 1].rstrip() + "…"


def is_web_link(link: str) -> bool:
    """Tell whether this is an absolute http or https address that can be shown, stored and mailed as it is."""
    if len(link) > MAX_LINK or one_line(link, MAX_LINK) != link or " " in link:
        return False
    try:
        parts = urlsplit(link)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.username is None
    except ValueError:
        return False
