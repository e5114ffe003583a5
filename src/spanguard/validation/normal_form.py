"""The composed form of Unicode (NFC) in linear time, for any text."""

from __future__ import annotations

from unicodedata import combining, normalize

MOST_MARKS = 30
"""Combining marks in a row that are kept. No written language comes near (Unicode Standard Annex 15, Stream-Safe Text)."""


def composed(text: str) -> str:
    """Return the text in NFC, with at most `MOST_MARKS` combining marks in a row.

    `unicodedata.normalize` sorts the marks that follow one letter, in time quadratic in their number; it gets no long runs.
    """
    if text.isascii():
        return text
    # Twice: a character of the second half can come apart into a letter and one mark more.
    return _with_short_runs(normalize("NFC", _with_short_runs(text)))


def _with_short_runs(text: str) -> str:
    pieces: list[str] = []
    kept = 0
    # One character in 31 is looked at: no longer run fits between two of them.
    place = MOST_MARKS
    while place < len(text):
        if not combining(text[place]):
            place += MOST_MARKS + 1
            continue
        start, end = place, place + 1
        while start > kept and combining(text[start - 1]):
            start -= 1
        while end < len(text) and combining(text[end]):
            end += 1
        if end - start > MOST_MARKS:
            pieces.append(text[kept : start + MOST_MARKS])
            kept = end
        place = end + MOST_MARKS + 1
    return "".join([*pieces, text[kept:]]) if pieces else text
