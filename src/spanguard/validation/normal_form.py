"""The composed form of Unicode (NFC) in linear time, for any text."""

from __future__ import annotations

import functools
import re
import unicodedata

MOST_MARKS = 30
"""Combining marks in a row that are kept. No written language comes near (Unicode Standard Annex 15, Stream-Safe Text)."""


def composed(text: str) -> str:
    """Return the text in NFC, with at most `MOST_MARKS` combining marks in a row.

    `unicodedata.normalize` sorts the marks that follow one letter, in time quadratic in their number; it gets no long runs.
    """
    if text.isascii():
        return text
    runs = _long_runs()
    # Twice: a character of the second half can come apart into a letter and one mark more.
    return runs.sub(r"\1", unicodedata.normalize("NFC", runs.sub(r"\1", text)))


@functools.cache
def _long_runs() -> re.Pattern[str]:
    marks = "".join(char for char in map(chr, range(0x300, 0x20000)) if unicodedata.combining(char))
    return re.compile(f"([{marks}]{{{MOST_MARKS}}})[{marks}]+")
