"""Whatever a source sends, as plain text: no markup, no control characters, bounded."""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Final
from urllib.parse import urlsplit

from spanguard.validation import ContentSanitizer

MAX_TITLE: Final = 300
MAX_SUMMARY: Final = 2000
MAX_LINK: Final = 2000

_MAX_MARKUP: Final = 50_000
_SANITIZER: Final = ContentSanitizer(max_html=_MAX_MARKUP)
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_SPACES: Final = re.compile(r"\s+")


def text_of_markup(markup: str, limit: int) -> str:
    """Return the text of an HTML fragment, without scripts and styles, on one line, at most `limit` characters.

    Of an endless fragment only the beginning is read.
    """
    # A tag parts words, as the line that it may begin does on a page.
    spaced = markup[:_MAX_MARKUP].replace("<", " <")
    return one_line(html.unescape(_SANITIZER.html(spaced, "text")), limit)


def one_line(text: str, limit: int) -> str:
    """Return the text without control, invisible and unpaired characters, on one line, at most `limit` characters."""
    spaced = _SPACES.sub(" ", text)
    visible = "".join(char for char in spaced if unicodedata.category(char) not in _INVISIBLE)
    clean = _SPACES.sub(" ", visible).strip()
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
