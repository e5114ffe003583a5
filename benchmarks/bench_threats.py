"""Threat detection against what is often written instead, a list of patterns for `re`, and against bounds in seconds."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from statistics import quantiles

from common import Figure, Timer, timing
from hostile_texts import PIECES, noise, prose, repeated

from spanguard.validation.threats import canonical, detect
from spanguard.validation.threats.detection import RULES

TEXT = (
    "Please send the report of last week's order to the group of users who asked for it, and update the"
    " table on page 12 (see also the notes from March); it's fine if the script takes until 10:30 or so. Thanks!"
)[:200]
PATTERNS = (
    r"(union).+(select)",
    r"select\s.*\sfrom\s",
    r"insert\s+into\s.*values",
    r"(delete|drop|truncate|alter)\s.*(table|from)",
    r"update\s.*\sset\s",
    r"('|\")\s*(or|and)\s*('|\"|\d)",
    r"\b(or|and)\b\s+\d+\s*=\s*\d+",
    r"(--|#|/\*).*$",
    r";\s*(select|insert|update|delete|drop|exec)",
    r"(sleep|benchmark|waitfor|pg_sleep)\s*\(",
    r"information_schema|sysobjects|xp_cmdshell",
    r"<\s*script[^>]*>.*?<\s*/\s*script",
    r"<\s*script",
    r"javascript\s*:",
    r"vbscript\s*:",
    r"on\w+\s*=\s*['\"]?[^'\">]+",
    r"<\s*(iframe|object|embed|applet|svg|math|base|meta|link)\b",
    r"<[^>]+\s(on\w+)\s*=",
    r"expression\s*\(",
    r"document\s*\.\s*(cookie|write|location)",
    r"(alert|confirm|prompt|eval)\s*\(",
    r"data\s*:\s*text/html",
    r"[;&|`]\s*(cat|ls|id|whoami|uname|wget|curl|nc|bash|sh|ping|rm)\b",
    r"\$\(.*\)",
    r"`.*`",
    r"(cmd|powershell)(\.exe)?\s+/?-?\w",
    r">\s*/dev/(tcp|null)",
    r"/bin/(ba|z|c|k)?sh",
    r"(\.\./|\.\.\\)+",
    r"%2e%2e(%2f|%5c)",
    r"/etc/(passwd|shadow|hosts)",
    r"(c:\\|/)windows",
    r"(boot|win)\.ini",
    r"php://(filter|input)",
)


def ours() -> Timer:
    assert not detect(TEXT)
    return timing(lambda: detect(TEXT))


def patterns() -> Timer:
    searches = [re.compile(pattern, re.IGNORECASE | re.DOTALL).search for pattern in PATTERNS]
    return timing(lambda: [search(TEXT) for search in searches])


def same_rules() -> Timer:
    searches = [re.compile(rule.pattern).search for rules in RULES.values() for rule in rules]

    def call() -> None:
        view, _ = canonical(TEXT)
        for search in searches:
            search(view)

    return timing(call)


def parameters(chance: random.Random) -> Iterator[str]:
    for _ in range(300):
        yield prose(200, chance)


def anything(chance: random.Random) -> Iterator[str]:
    """Texts of no two lengths alike up to 10,000: a third of them prose, a third random, a third of what it dreads."""
    for number in range(100):
        length = 100 * (number + 1)
        yield prose(length, chance)
        yield noise(length, chance)
        yield repeated(PIECES[number % len(PIECES)], length)


def percentile(percent: int, texts: Callable[[random.Random], Iterator[str]]) -> Timer:
    """A timer of what that share of the texts takes at most. No text comes twice, as the automata would remember it."""
    chance = random.Random(20_250_101)  # noqa: S311 - texts to time, no secrets

    def taken(text: str) -> float:
        start = time.thread_time()
        detect(text)
        return time.thread_time() - start

    def run(loops: int) -> float:
        return loops * quantiles([taken(text) for text in texts(chance)], n=100)[percent - 1]

    return run


def bound(seconds: float) -> Timer:
    return lambda loops: loops * seconds


FIGURES = [
    Figure(
        "threats-p50",
        "half of all texts of 200 characters, looked through for four families of attacks, take at most",
        1,
        lambda: percentile(50, parameters),
        lambda: bound(25e-6),
        "the bound",
    ),
    Figure(
        "threats-p99",
        "99 in 100 texts of up to 10 kB, a third random and a third hostile, take at most",
        1,
        lambda: percentile(99, anything),
        lambda: bound(5e-3),
        "the bound",
    ),
    Figure(
        "threats",
        "four families of attacks looked for in 200 characters of prose",
        0.1,
        ours,
        patterns,
        f"{len(PATTERNS)} patterns of `re`, nothing decoded",
    ),
    Figure(
        "threats-same-rules",
        "the same, against its own rules",
        0.1,
        ours,
        same_rules,
        "the same rules as patterns of `re`",
    ),
]
