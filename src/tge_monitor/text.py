"""Whatever a source sends, as plain text: no markup, no control characters, bounded."""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urlsplit

MAX_TITLE: Final = 300
MAX_SUMMARY: Final = 2000
MAX_LINK: Final = 2000

_MAX_MARKUP: Final = 50_000
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_SPACES: Final = re.compile(r"\s+")


class _TextOnly(HTMLParser):
    """Collects what a reader would see."""

    _HIDDEN: Final = frozenset({"script", "style"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden_in = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the signature is the base class's
        if tag in self._HIDDEN:
            self._hidden_in = tag
        self.pieces.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden_in:
            self._hidden_in = ""
        self.pieces.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._hidden_in:
            self.pieces.append(data)


def text_of_markup(markup: str, limit: int) -> str:
    """Return the text of an HTML fragment, on one line, at most `limit` characters."""
    parser = _TextOnly()
    parser.feed(markup[:_MAX_MARKUP])
    parser.close()
    return one_line("".join(parser.pieces), limit)


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
