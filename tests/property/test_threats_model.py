"""Any text gives a report, and an attack in another spelling is still that attack."""

from __future__ import annotations

import html
from collections.abc import Callable
from urllib.parse import quote

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spanguard.validation.threats import ALL, Family, canonical, detect
from spanguard.validation.threats.canonical import HEAD, TAIL
from unit.threats.samples import ATTACKS, HARMLESS

ANY = st.text(st.characters(exclude_categories=()), max_size=300)
MARKS = st.lists(
    st.sampled_from(
        [
            "%",
            "&",
            "\\",
            "#",
            ";",
            "'",
            '"',
            "<",
            ">",
            "/*",
            "*/",
            "--",
            "%25",
            "&#",
            "&amp;",
            "\\u",
            "\ufdfa",
            "\u0301",
        ]
    ),
    max_size=80,
).map("".join)
ATTACK = st.sampled_from([(family, attack) for family, attacks in ATTACKS.items() for attack in attacks])


def everything_by_percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "percent": lambda text: quote(text, safe=""),
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "percent three times": lambda text: quote(quote(quote(text, safe=""), safe=""), safe=""),
    "every byte by percent": everything_by_percent,
    "entities": html.escape,
    "entities by number": lambda text: "".join(f"&#{ord(character)};" for character in text),
    "entities by hexadecimal number": lambda text: "".join(f"&#x{ord(character):X};" for character in text),
    "escapes": lambda text: "".join(f"\\u{ord(character):04x}" for character in text),
    "capitals": str.upper,
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" and c != "%" else c for c in text),
    "zero width": "\u200b".join,
    "entities in percent": lambda text: quote(html.escape(text), safe=""),
}


@settings(max_examples=2_000, deadline=None)
@given(text=st.one_of(ANY, MARKS), profile=st.sampled_from(["parameter", "prose"]))
def test_any_text_gives_a_report(text: str, profile: str) -> None:
    report = detect(text, profile=profile)  # type: ignore[arg-type]
    assert report.score >= 0
    assert {finding.family for finding in report.findings} <= ALL
    assert bool(report) is bool(report.families)


@settings(max_examples=500, deadline=None)
@given(text=st.one_of(ANY, MARKS))
def test_the_view_has_no_controls_no_surrogates_and_no_capitals(text: str) -> None:
    view, _ = canonical(text)
    assert view == view.casefold()
    assert not any(character < " " and character != "\n" for character in view)
    assert not any("\ud800" <= character <= "\udfff" for character in view)


@settings(max_examples=1_000, deadline=None)
@given(attack=ATTACK, spelling=st.sampled_from(sorted(SPELLINGS)))
def test_an_attack_in_another_spelling_is_found(attack: tuple[Family, str], spelling: str) -> None:
    family, text = attack
    assume("%" not in text or "percent" not in spelling)  # three layers are undone, no fourth
    assert family in detect(SPELLINGS[spelling](text)).families


@settings(max_examples=300, deadline=None)
@given(attack=ATTACK, before=st.sampled_from(HARMLESS), after=st.sampled_from(HARMLESS))
def test_an_attack_on_a_line_of_its_own_is_a_threat_whatever_stands_around_it(
    attack: tuple[Family, str], before: str, after: str
) -> None:
    family, text = attack
    if family in {"xss", "command_injection"}:  # the others are, in part, known by their place at the start or the end
        assert family in detect(f"{before}\n{text}\n{after}").families


@settings(max_examples=100, deadline=None)
@given(start=ANY, end=ANY, middle=st.integers(1, 50_000))
def test_what_stands_between_the_ends_of_a_long_text_costs_and_changes_nothing(
    start: str, end: str, middle: int
) -> None:
    head = (start + "a" * HEAD)[:HEAD]
    tail = ("b" * TAIL + end)[-TAIL:]
    assert canonical(head + "<script>" * middle + tail) == (canonical(f"{head}\n{tail}")[0], True)
