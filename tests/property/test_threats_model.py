"""Any text gives a report, and an attack in another spelling is still that attack."""

from __future__ import annotations

import html
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fuzz import FUZZ
from spanguard.validation.threats import ALL, Family, Finding, Profile, canonical, detect
from spanguard.validation.threats.canonical import HEAD, TAIL
from spanguard.validation.threats.detection import RULES
from unit.threats.samples import ATTACKS, HARMLESS

pytestmark = pytest.mark.fuzz

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


# What the rules know, put together at random: half attacks, and what is left of attacks.
PIECES = st.sampled_from(
    ["select", "union", " ", "'", '"', "or", "1", "=", "--", ";", "|", "&", "cat", "/etc/passwd", "../", "<", ">", "script",
     "on", "x", "(", ")", "alert", "javascript:", "%2e", "%3c", "&lt;", "\\u003c", "/*", "*/", "\n", "\x00", "\u200b", "\uff1c",
     "\ud800", "$(", "`", "id", "sleep", "file://", "\\", "c:", "0x2e", "data:", "#", "@@", "||"]
)  # fmt: skip
HALF_ATTACKS = st.lists(PIECES, max_size=40).map("".join)
TEXTS = st.one_of(ANY, MARKS, HALF_ATTACKS)
PROFILES: st.SearchStrategy[Profile] = st.sampled_from(["parameter", "prose"])
KNOWN = {
    profile: {Finding(family, rule.name, getattr(rule, profile)) for family, rules in RULES.items() for rule in rules}
    for profile in ("parameter", "prose")
}


class Liar(str):
    """A text whose every method lies or fails."""

    __slots__ = ()

    def _fail(self, *_: object, **__: object) -> None:
        raise AssertionError

    __str__ = __len__ = __iter__ = __getitem__ = __contains__ = __eq__ = __hash__ = __format__ = _fail  # type: ignore[assignment]
    isascii = encode = translate = casefold = strip = isprintable = splitlines = split = _fail  # type: ignore[assignment]


@FUZZ
@given(text=TEXTS, profile=PROFILES)
def test_any_text_gives_a_report_of_known_rules(text: str, profile: Profile) -> None:
    report = detect(text, profile=profile)
    assert set(report.findings) <= KNOWN[profile]
    assert bool(report) is bool(report.families)
    assert set(report.families) <= ALL


@FUZZ
@given(
    value=st.one_of(st.binary(), st.none(), st.integers(), st.floats(), st.lists(st.text()), st.binary().map(bytearray))
)
def test_what_is_no_text_is_refused_by_its_type_and_never_shown(value: object) -> None:
    with pytest.raises(TypeError, match=rf"^text is of type {type(value).__name__}; it must be str"):
        detect(value)  # type: ignore[arg-type]


@FUZZ
@given(text=TEXTS)
def test_a_text_whose_methods_lie_gets_the_report_of_the_plain_text(text: str) -> None:
    assert detect(Liar(text)) == detect(text)


@FUZZ
@given(text=TEXTS, profile=PROFILES)
def test_a_family_is_found_alike_alone_and_among_others(text: str, profile: Profile) -> None:
    together = detect(text, profile=profile).findings
    alone = [detect(text, profile=profile, families=frozenset({family})).findings for family in RULES]
    assert together == sum(alone, ())


@FUZZ
@given(text=TEXTS)
def test_prose_is_never_accused_of_more_than_a_parameter(text: str) -> None:
    prose, parameter = detect(text, profile="prose"), detect(text)
    assert prose.score <= parameter.score
    assert {f.rule for f in prose.findings} <= {f.rule for f in parameter.findings}


@FUZZ
@given(text=TEXTS)
def test_the_view_has_no_controls_no_surrogates_and_no_capitals(text: str) -> None:
    view, _ = canonical(text)
    assert view == view.casefold()
    assert not any(character < " " and character != "\n" for character in view)
    assert not any("\ud800" <= character <= "\udfff" for character in view)


@FUZZ
@given(attack=ATTACK, spelling=st.sampled_from(sorted(SPELLINGS)))
def test_an_attack_in_another_spelling_is_found(attack: tuple[Family, str], spelling: str) -> None:
    family, text = attack
    assume("%" not in text or "percent" not in spelling)  # three layers are undone, no fourth
    assert family in detect(SPELLINGS[spelling](text)).families


@FUZZ
@given(text=st.sampled_from(HARMLESS), spelling=st.sampled_from(sorted(SPELLINGS)), profile=PROFILES)
def test_a_harmless_text_in_another_spelling_is_no_threat(text: str, spelling: str, profile: Profile) -> None:
    assume("%" not in text or "percent" not in spelling)
    assert not detect(SPELLINGS[spelling](text), profile=profile)


@FUZZ
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
