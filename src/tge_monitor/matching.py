"""Which items are announcements: they speak of a token generation event, better of one by a company on the list."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from tge_monitor.model import Item, Match

KEYWORD_WEIGHT = 1
COMPANY_WEIGHT = 2
TITLE_BONUS = 1


class Matcher:
    """Looks for whole words, whatever their case, width or accents are written like.

    An item matches if at least one keyword is in it and its score reaches the minimum. The score is the sum over the
    keywords (1 each) and companies (2 each) found, and 1 more for each that stands in the title.

    Args:
        keywords: words or phrases.
        companies: names.
        minimum_score: the least that makes an announcement.
    """

    def __init__(self, keywords: Iterable[str], companies: Iterable[str], *, minimum_score: int = 1) -> None:
        self._keywords = _compile(keywords)
        self._companies = _compile(companies)
        self._minimum_score = minimum_score

    def match(self, item: Item) -> Match | None:
        """Return why the item is an announcement; None if it is none."""
        title, whole = _fold(item.title), _fold(f"{item.title}\n{item.summary}")
        keywords = _hits("keyword", self._keywords, title, whole, KEYWORD_WEIGHT)
        companies = _hits("company", self._companies, title, whole, COMPANY_WEIGHT)
        score = sum(weight for weight, _ in keywords + companies)
        if not keywords or score < self._minimum_score:
            return None
        return Match(score, tuple(why for _, why in keywords + companies))


def _hits(kind: str, terms: dict[str, re.Pattern[str]], title: str, whole: str, weight: int) -> list[tuple[int, str]]:
    found = []
    for term, pattern in terms.items():
        if pattern.search(title):
            found.append((weight + TITLE_BONUS, f"{kind} {term!r} in the title"))
        elif pattern.search(whole):
            found.append((weight, f"{kind} {term!r} in the text"))
    return found


def _compile(terms: Iterable[str]) -> dict[str, re.Pattern[str]]:
    """Return one pattern a term; `#TGE` and `$TGE` are hits for `TGE`, `TGEs` is none."""
    patterns = {}
    for term in terms:
        words = r"\s+".join(map(re.escape, _fold(term).split()))
        patterns[term] = re.compile(rf"(?<!\w){words}(?!\w)")
    return patterns


def _fold(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in decomposed if not unicodedata.combining(char))
