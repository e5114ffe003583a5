"""How the time of the validation grows with its input: `python benchmarks/validation_growth.py [names]`, or `make growth`.

Ten times the input may take at most twelve times as long, for every public function, up to its cap and beyond, whatever the
input is made of. The program prints the worst input of each function and exits with 1 if one breaks the bound. It is no
test: it measures time. What bounds the work is tested where it is written.
"""

from __future__ import annotations

import gc
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from hostile_texts import PIECES, noise, prose, repeated
from schema_inputs import INPUTS, MAX_ITEMS, VALIDATORS

from spanguard.validation import (
    BooleanType,
    DatetimeType,
    EmailType,
    FloatType,
    IntegerType,
    ListType,
    StringType,
    UrlType,
)
from spanguard.validation.sanitizers import (
    MAX_HTML,
    MAX_JSON,
    MAX_TEXT,
    clean_filename,
    clean_html,
    clean_json,
    clean_text,
    csv_cell,
    html_attribute,
    js_string,
    log_line,
    shell_argument,
    url_parameter,
)
from spanguard.validation.threats import canonical, detect

BOUND = 12.0
LONG_ENOUGH = 0.002  # seconds of one timing; shorter calls are timed several at once
ROUNDS = 3
REPEATS = 7

Maker = Callable[[int], object]
"""Makes an input of a size."""


@dataclass(frozen=True, slots=True)
class Case:
    """A public function to be timed.

    Attributes:
        name: what the table and the command line call it.
        call: the function, of one argument.
        cap: the size from which on its work grows no more, or that it refuses; sizes up to ten times as great are timed.
        inputs: makers of input, by name.
    """

    name: str
    call: Callable[..., object]
    cap: int
    inputs: dict[str, Maker]


def texts(*more: str) -> dict[str, Maker]:
    """Texts of all kinds; more pieces that a function may dread can be named."""
    makers: dict[str, Maker] = {repr(piece): partial(repeated, piece) for piece in (*PIECES, *more)}
    # One of each thing that sends a text the long way comes first, for the short text, too, to go it.
    odd = "%ff\\x41&amp;/*\n\x07\u00b4"
    makers["prose"] = lambda size: odd + prose(size, random.Random(size))  # noqa: S311 - texts to time, no secrets
    makers["noise"] = lambda size: odd + noise(size, random.Random(size))  # noqa: S311 - the same
    return makers


def framed(frames: dict[str, str], *more: str) -> dict[str, Maker]:
    """Pieces again and again behind each of some beginnings, and before the end that belongs to it."""

    def make(size: int, before: str, piece: str, after: str) -> str:
        return before + repeated(piece, max(size - len(before) - len(after), 0)) + after

    return {
        f"{before}{piece!r}{after}": partial(make, before=before, piece=piece, after=after)
        for before, after in frames.items()
        for piece in (*PIECES, *more)
    }


IN_URLS = {
    "http://": "",
    "http://a": "@example.com/",
    "redis://": "",
    "http://example.com/": "",
    "http://example.com/?": "",
}
IN_EMAILS = {"a@": "", '"': '"@example.com', "": "@example.com"}
HOSTS = (
    "a.",
    "xn--",
    "xn--a.",
    "%61",
    "\u00fc",
    "\u00fc.",
    "1.",
    "[",
    ":",
    "@",
    "\u200d",
    "\u0903",
    "\U0001d15e",
    "/../",
)

MARKUP = (
    *(
        "<div>",
        "<ul><li>",
        "<table><tr><td>",
        "<b><i></b></i>",
        "<b><p>",
        "<p><b><i><u><s><hr>",
        "<a><table><a>",
        "<h1>",
    ),
    *("<", "<!", "<!--", "<a ", "<a x='", "</", "<b/=/=", '<b ="', "<script>", "<svg><style>", "<pre>\n", "<br>"),
    *("<a href=1>", '<a href=\'"""\'>', "<p>x</p>", ">", "&", "&#9", "&lt;", "\xa0", "<p>\u0301"),
)
IN_JSON = {"[": "1]", '"': '"', '{"a":': "1}", "": ""}

MARKS = ("e\u0301", "\u0301\u0327", "\u1100\u1161\u11a8", "\u200b")

LISTS: dict[str, Maker] = {
    "clean": lambda size: [str(number) for number in range(size)],
    "marks": lambda size: [f"e\u0301{number}" for number in range(size)],
    "attacks": lambda size: [f"<script>alert({number})</script>" for number in range(size)],
    "wrong": lambda size: [b""] * size,
    "wrong at the end": lambda size: [*map(str, range(size - 1)), b""],
    "equal": lambda size: ["a"] * size,
}
LISTS_OF_LISTS: dict[str, Maker] = {
    "clean": lambda size: [["1"] * 500] * size,
    "wrong": lambda size: [["x"] * 500] * size,
}

# A public function of the validation has its line here, with the pieces of input that it may dread.
CASES = [
    Case("detect", detect, 5_120, texts()),
    Case("detect, prose", partial(detect, profile="prose"), 5_120, texts()),
    Case("canonical", canonical, 5_120, texts()),
    Case("string", StringType().validate, 10_000, texts(*MARKS)),
    Case("string, stripped", StringType(strip=True, threats="off").validate, 10_000, texts(" ", "\u3000", *MARKS)),
    Case(
        "string, pattern",
        StringType(max_length=100_000, clean=False, threats="off", pattern=r"(a|b)*a(a|b){9}|(\pL+\s?)*").validate,
        100_000,
        texts("a", "ab", "\u00e9", *MARKS),
    ),
    Case("integer", IntegerType().validate, 1_000, texts("9", "0", " ", "\u0661")),
    Case("float", FloatType().validate, 1_000, texts("9", "0", ".0", " ", "1e9")),
    Case("datetime", DatetimeType().validate, 64, texts("2026-01-31T12:00:00Z", "0")),
    Case("boolean", BooleanType().validate, 16, texts("true", "\u0130")),
    Case("list", ListType(unique=True).validate, 1_000, LISTS),
    Case("list of lists", ListType(of=ListType(of=IntegerType()), max_items=100).validate, 100, LISTS_OF_LISTS),
    Case("url", UrlType(max_length=65_536, userinfo=True).validate, 65_536, framed(IN_URLS, *HOSTS)),
    Case("email", EmailType(quoted=True).validate, 254, framed(IN_EMAILS, *HOSTS)),
    Case("clean_text", clean_text, 100_000, texts("\u0301\u0327", "\u0958", "e\u0301", "\r", "\u200b")),
    Case("clean_html, basic", clean_html, MAX_HTML, texts(*MARKUP)),
    Case("clean_html, rich", partial(clean_html, policy="rich"), MAX_HTML, texts(*MARKUP)),
    Case("clean_html, text", partial(clean_html, policy="text"), MAX_HTML, texts(*MARKUP)),
    Case("clean_filename", clean_filename, 4_096, texts("/", ".", " ", "con.", "\u3000")),
    Case(
        "clean_json",
        clean_json,
        MAX_JSON,
        framed(IN_JSON, "[", "{", '"', '"a",', '{"a":1},', "9", '"\\\\"', "0,", "[],"),
    ),
    Case("html_attribute", html_attribute, MAX_TEXT, texts("&amp", "&#x", '"')),
    Case("js_string", js_string, MAX_TEXT, texts("\\u0027", "\\", "'")),
    Case("url_parameter", url_parameter, MAX_TEXT, texts("%ff", "%e2", "\U0001f600")),
    Case("csv_cell", csv_cell, MAX_TEXT, texts(" ", '"', "9")),
    Case("log_line", log_line, MAX_TEXT, texts("\r\n")),
    Case("shell_argument", shell_argument, MAX_TEXT, framed({"": "", "'": "'"}, "'\"'\"'", "'")),
    *(Case(name, validator.validate, MAX_ITEMS, INPUTS) for name, validator in VALIDATORS.items()),
]


@dataclass(frozen=True, slots=True)
class Growth:
    """The times of one input, in seconds: at a tenth of the cap, at the cap, and at ten times the cap."""

    case: str
    of: str
    times: tuple[float, float, float]

    @property
    def ratio(self) -> float:
        """How many times as long ten times the input takes, at worst."""
        small, capped, large = self.times
        return max(capped / small, large / capped)

    @property
    def row(self) -> tuple[str, ...]:
        verdict = "yes" if self.ratio <= BOUND else "no"
        return (
            self.case,
            *(f"{seconds * 1e6:.1f} us" for seconds in self.times),
            f"{self.ratio:.1f}",
            verdict,
            self.of,
        )


def main() -> int:
    """Time the cases that are named, or all."""
    names = sys.argv[1:]
    chosen = [case for case in CASES if not names or case.name in names]
    unknown = set(names) - {case.name for case in chosen}
    if unknown:
        print(f"no case is named {', '.join(sorted(unknown))}; there are: {', '.join(c.name for c in CASES)}")
        return 2
    found = [growth for case in chosen for growth in worst(case)]
    heading = ("function", "cap / 10", "cap", "10 x cap", "ratio", "within 12", "worst input")
    print_table([heading, *(growth.row for growth in found)])
    return 0 if all(growth.ratio <= BOUND for growth in found) else 1


def worst(case: Case) -> Iterator[Growth]:
    """The input whose time grows most, and all others that break the bound."""
    grown = sorted((grow(case, name) for name in case.inputs), key=lambda growth: -growth.ratio)
    yield grown[0]
    yield from (growth for growth in grown[1:] if growth.ratio > BOUND)


def grow(case: Case, name: str) -> Growth:
    """Time one input. What seems to break the bound is timed again: whatever else the machine does only ever adds."""
    make = case.inputs[name]
    inputs = [make(size) for size in (max(case.cap // 10, 1), case.cap, 10 * case.cap)]
    least = [float("inf")] * 3
    for _ in range(ROUNDS):
        least = [min(known, taken(case.call, value)) for known, value in zip(least, inputs, strict=True)]
        growth = Growth(case.name, name, (least[0], least[1], least[2]))
        if growth.ratio <= BOUND:
            break
    return growth


def taken(call: Callable[..., object], value: object) -> float:
    """Seconds of processor time of one call, the least of several."""
    loops = 1
    while (seconds := timed(call, value, loops)) < LONG_ENOUGH:
        loops *= 4
    return min([seconds, *(timed(call, value, loops) for _ in range(REPEATS - 1))]) / loops


def timed(call: Callable[..., object], value: object, loops: int) -> float:
    gc.collect(0)
    start = time.thread_time()
    for _ in range(loops):
        call(value)
    return time.thread_time() - start


def print_table(rows: list[tuple[str, ...]]) -> None:
    """Print rows in columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
