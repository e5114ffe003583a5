"""Texts to time the validation with: prose, characters at random, and what sends every step of it to work."""

from __future__ import annotations

import random
import string

WORDS = (
    "the", "of", "and", "to", "in", "is", "was", "order", "select", "from", "where", "table", "name", "user", "script",
    "image", "source", "report", "value", "update", "number", "between", "please", "could", "house", "water", "morning",
    "children", "2024", "17", "it's", "don't", "(see)", "file.txt", "a/b", "key=value",
)  # fmt: skip
# Pieces to be repeated: they send the decoding, the folding and every family of rules to work.
PIECES = (
    "'", "--a", "/*", "*/", "&ab", "&amp;", "%25", "%2525252525", "\\x5cx41", "<a ", "select (", "' or ", "../", "on",
    "union ", "java", "`id`", "$(", "\ufdfa", "\u0301\u0327", "'||", "1 or ", "<script", "((", "..", "0x2e", "%c0", "=",
    "e x p ", "\n# a", "\u202e", "\ud800", "\x00", "a", " ", "1 or 1=", "on a=", "; cat", "| more", "a\u0301", "<ul><li>",
)  # fmt: skip


def prose(length: int, chance: random.Random) -> str:
    """Words of which no two texts are alike."""
    return " ".join(chance.choices(WORDS, k=length // 2 + 1))[:length]


def noise(length: int, chance: random.Random) -> str:
    """Printable characters at random: the worst for an automaton that is built as it goes."""
    return "".join(chance.choices(string.printable, k=length))


def repeated(piece: str, length: int) -> str:
    """The piece again and again, to the length."""
    return (piece * (length // len(piece) + 1))[:length]


def any_text(longest: int, chance: random.Random) -> str:
    """One of the three, of a length up to the longest."""
    length = chance.randint(1, longest)
    kind = chance.randrange(3)
    if kind == 0:
        return prose(length, chance)
    return noise(length, chance) if kind == 1 else repeated(chance.choice(PIECES), length)
