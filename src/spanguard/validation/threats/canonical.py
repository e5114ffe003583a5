"""One plain view of a text for the rules: a bounded part of it, decoded, folded, in lower case.

An attacker has many spellings for one attack: percent signs, entities, escapes, full-width letters, comments, tabs. The
rules know one. Every step reads the text once, so the time is linear in the part that is looked at.
"""

from __future__ import annotations

import re
import unicodedata
from html.entities import html5

HEAD = 4_096  # characters looked at from the start
TAIL = 1_024  # and from the end: an attack behind a long filling is as cheap to send
ROUNDS = 3  # decodings one within the other
_PIECE = 64

_PERCENT = re.compile(r"(?:%[0-9a-fA-F]{2})+")
_PERCENT_U = re.compile(r"%[uU]([0-9a-fA-F]{4})")
_ENTITY = re.compile(r"&(?:#0*(\d{1,7})|#[xX]0*([0-9a-fA-F]{1,6})|([a-zA-Z]{2,31});|(lt|gt|amp|quot|LT|GT|AMP|QUOT));?")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{0*([0-9a-fA-F]{1,6})\})")
# A character of ASCII in more bytes than it needs: no valid UTF-8, yet some decoders take it. What follows the
# first byte need not even be a continuation for the laxest of them.
_OVERLONG = re.compile(rb"[\xc0\xc1](.)|(?:\xe0\x80|\xf0\x80\x80|\xf8\x80{3}|\xfc\x80{4})([\x80-\xbf])", re.DOTALL)

_REPLACEMENTS: dict[str | int, str | None] = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02b9\u02bc\u00b4", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u02ba", '"'),
    **dict.fromkeys("\u2044\u2215\u29f8", "/"),
    **dict.fromkeys("\u2216\u29f5\u29f9", "\\"),
    **dict.fromkeys("\u2039\u2329\u3008\u27e8", "<"),
    **dict.fromkeys("\u203a\u232a\u3009\u27e9", ">"),
    **dict.fromkeys("\u00ad\u034f\u061c\u180e\ufeff"),
    **dict.fromkeys(range(0x200B, 0x2010)),
    **dict.fromkeys(range(0x202A, 0x202F)),
    **dict.fromkeys(range(0x2060, 0x2070)),
    **dict.fromkeys(range(0xD800, 0xE000)),
}
_PLAIN = str.maketrans(_REPLACEMENTS)
_CONTROLS = dict.fromkeys([*range(9), *range(0x0E, 0x1C), *range(0x7F, 0x85), *range(0x86, 0xA0)])
# To translate a text that is not all ASCII takes ten times as long as to search it.
_NOT_PLAIN = re.compile(f"[{''.join(map(chr, _PLAIN))}]")
_CONTROL = re.compile(f"[{''.join(map(chr, _CONTROLS))}]+")

# A comment is a separator. What stands in it is kept when it could be an attack on another interpreter.
_COMMENT = re.compile(r"/\*[\w\s.*-]{0,80}?\*/|/\*!\d{0,6}|\*/")
_COMMENT_TO_END_OF_LINE = re.compile(r"(?:#|--)[\w \t.]{0,80}\n")


def canonical(text: str) -> tuple[str, bool]:
    """The view that the rules read, and whether part of the text was left out.

    At most `HEAD` characters from the start and `TAIL` from the end are looked at. Any text gives a view, whatever its
    characters.
    """
    cut = len(text) > HEAD + TAIL
    if cut:
        text = f"{text[:HEAD]}\n{text[-TAIL:]}"
    if not text.isascii():
        text = _compatible(text)
    decoded = _decoded(text)
    if decoded is not text and not decoded.isascii():
        decoded = _compatible(decoded)
    text = decoded.casefold()
    if "/*" in text or "*/" in text:
        text = _COMMENT.sub(" ", text)
    text = text.strip()
    if not text.isprintable():
        text = _folded(text.translate(_CONTROLS) if text.isascii() else _CONTROL.sub("", text))
    elif "  " in text:
        text = " ".join(text.split())
    return text, cut


def _decoded(text: str) -> str:
    for _ in range(ROUNDS):
        before = text
        if "%" in text:
            text = _PERCENT_U.sub(_from_hexadecimal, _PERCENT.sub(_from_percent, text))
        if "&" in text:
            text = _ENTITY.sub(_from_entity, text)
        if "\\" in text:
            text = _ESCAPE.sub(_from_hexadecimal, text)
        if text == before:
            break
    return text


def _from_percent(match: re.Match[str]) -> str:
    raw = bytes.fromhex(match[0].replace("%", ""))
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return _OVERLONG.sub(_from_overlong, raw).decode("utf-8", "replace")


def _from_overlong(match: re.Match[bytes]) -> bytes:
    low = (match[1] or match[2])[0] & 0x3F
    return bytes([(low | (match[0][0] & 1) << 6) if match[1] else low])


def _from_hexadecimal(match: re.Match[str]) -> str:
    return _character(int(match[match.lastindex or 0], 16), match[0])


def _from_entity(match: re.Match[str]) -> str:
    if name := match[3] or match[4]:
        return html5.get(f"{name};", match[0])
    return _character(int(match[1]) if match[1] else int(match[2], 16), match[0])


def _character(code: int, otherwise: str) -> str:
    return chr(code) if code <= 0x10FFFF else otherwise  # noqa: PLR2004 - the end of Unicode


def _compatible(text: str) -> str:
    """NFKC without what is not seen, piece by piece: the order of a long run of combining marks costs the square of its length."""
    text = _plain(text)
    pieces: list[str] = []
    room = 2 * (HEAD + TAIL)  # one character can become eighteen
    for start in range(0, len(text), _PIECE):
        pieces.append(unicodedata.normalize("NFKC", text[start : start + _PIECE]))
        room -= len(pieces[-1])
        if room < 0:
            break
    return _plain("".join(pieces))


def _plain(text: str) -> str:
    return text.translate(_PLAIN) if _NOT_PLAIN.search(text) else text


def _folded(text: str) -> str:
    """Runs of blanks become one blank; with a line break among them, one line break."""
    if "\n" not in text and "\r" not in text:
        return " ".join(text.split())
    text = _COMMENT_TO_END_OF_LINE.sub("\n", text)
    return "\n".join([" ".join(line.split()) for line in text.splitlines()])
