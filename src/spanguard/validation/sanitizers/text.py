"""Plain text: composed, and nothing in it that a reader does not see."""

from __future__ import annotations

import re
from typing import cast

from spanguard.validation.normal_form import composed

_LINE_BREAKS = ("\r\n", "\r", "\v", "\f", "\x85", "\u2028", "\u2029")

_CONTROLS = "\0-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"
_SURROGATES = "\ud800-\udfff"
_DIRECTIONS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_JOINERS = "\u200c\u200d"
# What Unicode lets a program show as nothing (Default_Ignorable_Code_Point) but the variation selectors, which choose
# among the shapes of an emoji or of a letter in a name; and what is no character.
_UNSEEN = (
    "\xad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\ufdd0-\ufdef\ufffe\uffff"
)
_UNSEEN_BEYOND = "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff" + "".join(
    f"{chr(end - 1)}{chr(end)}" for end in range(0x1FFFF, 0x110000, 0x10000)
)
_DROPPED_OF_ASCII = dict.fromkeys([*range(0x09), *range(0x0E, 0x20), 0x7F])
# Parted by plane: `re` looks up a character in a table, unless there is one beyond the first plane in the set.
_DROPPED_BUT_JOINERS = re.compile(f"[{_CONTROLS}{_SURROGATES}{_DIRECTIONS}{_UNSEEN}]+")
_DROPPED = re.compile(f"[{_CONTROLS}{_SURROGATES}{_DIRECTIONS}{_UNSEEN}{_JOINERS}]+")
_BEYOND = re.compile("[\U00010000-\U0010ffff]")
_DROPPED_BEYOND = re.compile(f"[{_UNSEEN_BEYOND}]+")


def clean_text(text: str, *, keep_joiners: bool = False) -> str:
    r"""Return the text composed (NFC) and without what is not seen.

    Line breaks of all kinds become `\n`; tabs stay. Dropped are: control characters, NUL among them, lone surrogates,
    code points that are no characters, marks that turn the direction of writing, characters without a width, soft
    hyphens, and combining marks beyond 30 in a row. Cleaning twice changes nothing more. Linear in the length; raises
    nothing.

    Args:
        text: any text, of any length: bound it before.
        keep_joiners: keep U+200C and U+200D. Persian, Sinhala, other languages of South Asia and many emoji need them;
            elsewhere they make two texts that look the same differ.
    """
    text = str.__str__(text)
    is_ascii = text.isascii()
    if is_ascii and text.replace("\n", " ").isprintable():
        return text
    for line_break in _LINE_BREAKS:
        text = text.replace(line_break, "\n")
    if is_ascii:
        return text.translate(_DROPPED_OF_ASCII)
    text = (_DROPPED_BUT_JOINERS if keep_joiners else _DROPPED).sub("", text)
    if _BEYOND.search(text):
        text = _DROPPED_BEYOND.sub("", text)
    return composed(text)


def beginning(value: object, length: int) -> str:
    """Return the first characters of a text as a plain string; of what is not a string, none."""
    # By the type: neither `isinstance` nor a method may run code of a hostile object.
    return str.__getitem__(cast("str", value), slice(length)) if issubclass(type(value), str) else ""
