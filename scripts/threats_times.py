"""How long `detect` takes: on a parameter's length, on whatever is up to 10 kB, and as the input grows tenfold.

Processor time of the thread, so that other programs on the machine hardly count.
"""

from __future__ import annotations

import random
import string
import time
from statistics import median, quantiles

from spanguard.validation.threats import detect
from spanguard.validation.threats.canonical import HEAD, TAIL

WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "is",
    "was",
    "order",
    "select",
    "from",
    "where",
    "table",
    "name",
    "user",
    "script",
    "image",
    "source",
    "report",
    "value",
    "name",
    "update",
    "number",
    "between",
    "please",
    "could",
    "house",
    "water",
    "morning",
    "children",
    "2024",
    "17",
    "it's",
    "don't",
    "(see)",
    "file.txt",
    "a/b",
    "key=value",
]
# Pieces that send every step of the decoding and every family of rules to work.
HOSTILE = (
    "'", "--a", "/*", "*/", "&ab", "&amp;", "%25", "%2525252525", "\\x5cx41", "<a ", "select (", "' or ", "../", "on",
    "union ", "java", "`id`", "$(", "\ufdfa", "\u0301\u0327", "'||", "1 or ", "<script", "((", "..", "0x2e", "%c0", "=",
    "e x p ", "\n# a", "\u202e", "\ud800", "\x00",
)  # fmt: skip


def taken(text: str) -> float:
    """Seconds of one call."""
    start = time.thread_time()
    detect(text)
    return time.thread_time() - start


def prose(length: int, chance: random.Random) -> str:
    """Words of which no two texts are alike."""
    return " ".join(chance.choices(WORDS, k=length // 3))[:length]


def noise(length: int, chance: random.Random) -> str:
    """Printable characters at random: the worst for an automaton that is built as it goes."""
    return "".join(chance.choices(string.printable, k=length))


def times() -> None:
    """Print the three figures."""
    chance = random.Random(20_250_101)  # noqa: S311 - texts to time, no secrets
    short = [taken(prose(200, chance)) for _ in range(5_000)]
    print(f"200 characters of prose: p50 {median(short) * 1e6:.1f} us, p99 {quantiles(short, n=100)[98] * 1e6:.1f} us")
    mixed = [taken(prose(chance.randrange(10_000), chance)) for _ in range(2_000)]
    mixed += [taken((piece * 10_000)[: chance.randrange(1, 10_000)]) for piece in HOSTILE for _ in range(20)]
    print(f"up to 10,000 characters, prose and hostile: p99 {quantiles(mixed, n=100)[98] * 1e3:.2f} ms")
    random_text = [taken(noise(10_000, chance)) for _ in range(300)]
    print(
        f"10,000 characters at random: first {random_text[0] * 1e3:.1f} ms, p50 {median(random_text) * 1e3:.2f} ms,"
        f" p99 {quantiles(random_text, n=100)[98] * 1e3:.2f} ms"
    )
    worst = max((growth(piece), piece) for piece in HOSTILE)
    print(f"ten times the input takes at most {worst[0]:.1f} times as long ({worst[1]!r})")
    print(f"1 MB takes {taken('a' * 1_000_000) * 1e6:.0f} us, 100 MB {taken('a' * 100_000_000) * 1e6:.0f} us")


def growth(piece: str) -> float:
    """The time of a text of ten times the length over that of the text: of the longest that is read whole."""
    long = (piece * HEAD)[: HEAD + TAIL]
    short = long[: len(long) // 10]
    return min(taken(long) for _ in range(30)) / min(taken(short) for _ in range(100))


if __name__ == "__main__":
    times()
