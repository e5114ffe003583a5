"""The nesting of HTML: kept shallow before it is parsed, and judged after.

An HTML parser mends tags that are wrongly nested; the time and the output of that grow with the square of their number. And
a mended tree, written down and read again, can be another tree. Safety does not hang on this file: what it hands out is
cleaned by nh3 all the same.
"""

from __future__ import annotations

import re

MOST_NESTED = 50

_TABLE = frozenset({"table", "caption", "colgroup", "col", "thead", "tbody", "tfoot", "tr", "td", "th"})
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_BLOCKS = _HEADINGS | frozenset(
    "p div ul ol dl li dt dd pre blockquote hr table figure figcaption details summary".split()  # noqa: SIM905
)
_VOID = frozenset({"br", "hr", "img", "col"})

_CELLS = frozenset({"table", "td", "th", "caption"})
# A start tag -> the elements that it ends if they are open, and those within which it does not look for them.
_ENDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    **dict.fromkeys(_BLOCKS, (frozenset({"p"}), _CELLS)),
    **dict.fromkeys(_HEADINGS, (_HEADINGS | {"p"}, _CELLS)),
    "a": (frozenset({"a"}), _CELLS),
    "li": (frozenset({"li", "p"}), _CELLS | {"ul", "ol"}),
    **dict.fromkeys(("dt", "dd"), (frozenset({"dt", "dd", "p"}), _CELLS | {"dl"})),
    **dict.fromkeys(("td", "th"), (frozenset({"td", "th"}), frozenset({"table"}))),
    "tr": (frozenset({"tr", "caption"}), frozenset({"table"})),
    **dict.fromkeys(("thead", "tbody", "tfoot"), (frozenset({"thead", "tbody", "tfoot", "tr"}), frozenset({"table"}))),
}

# Elements whose content is no text for people, or is read by rules of its own.
UNREADABLE = frozenset(
    "script style svg math template iframe noframes noembed noscript xmp plaintext object textarea title select".split()  # noqa: SIM905
)
_TOKEN = re.compile(
    r"<(?:"
    r"(?P<comment>!--)"
    r"|(?P<other>[!?]|/(?![a-zA-Z]))"
    r"|(?P<end>/?)(?P<name>[a-zA-Z][^\s<>/\"'`=]{0,30})(?P<rest>(?:\s+|/|[^\s<>/\"'`=]{1,64}|=\s*(?:\"[^\"]*\"|'[^']*')|=)*+)>"
    r")"
)
# What nh3 writes as `&amp;`; names that it would read are counted, too: to guess too much is no harm.
_BARE = re.compile(r"&(?!(?:amp|lt|gt|nbsp|quot);|#[0-9]|#[xX][0-9a-fA-F])")
_NO_REFERENCE = re.compile(r"&(?![a-zA-Z][a-zA-Z0-9]{1,31};|#[0-9]|#[xX][0-9a-fA-F])")
_LONGEST_REFERENCE = 33
_AS_WRITTEN = re.compile(r'(?: [a-z]+="(?:[^"&<>\xa0]|&[a-z]+;)*")*')
_GROWTH = 6  # from `"` between other quotes to `&quot;`, at the most
_WRITTEN = re.compile(r"<(/?)([a-z0-9]+)")


class _Page:
    """What is written, as long as nh3 will write it, and which elements are open."""

    def __init__(self, room: int) -> None:
        self.pieces: list[str] = []
        self.opened: list[str] = []
        self.room = room

    def text(self, text: str) -> None:
        bare = len(_BARE.findall(text)) if "&" in text else 0
        size = len(text) + 4 * bare + 3 * text.count(">") + 5 * text.count("\xa0")
        self.pieces.append(text if size <= self.room else _beginning(text, max(self.room, 0)))
        self.room -= size

    def start(self, name: str, tag: str, attributes: str, added: str) -> None:
        ended = _ended_by(name, self.opened)
        if ended is not None:
            self.close(ended)
        if name not in _VOID and len(self.opened) >= MOST_NESTED:
            return
        is_as_written = _AS_WRITTEN.fullmatch(attributes) is not None
        size = len(tag) if is_as_written else len(tag) + _GROWTH * len(attributes)
        if added not in attributes:
            size += len(added)
        if name not in _VOID:
            size += len(name) + 3  # its end tag has its room from the start
        if size <= self.room:
            self.pieces.append(tag)
            if name not in _VOID:
                self.opened.append(name)
        self.room -= size

    def end(self, name: str) -> None:
        if name in self.opened:
            self.close(len(self.opened) - 1 - self.opened[::-1].index(name))

    def close(self, to: int) -> None:
        while len(self.opened) > to:
            self.pieces.append(f"</{self.opened.pop()}>")


def _beginning(text: str, room: int) -> str:
    written = _NO_REFERENCE.sub("&amp;", text[:room]).replace(">", "&gt;").replace("\xa0", "&nbsp;")
    written = cut(written, room)
    return cut(written, room - 4 * len(_BARE.findall(written))).replace("&gt;", ">").replace("&nbsp;", "\xa0")


def cut(written: str, length: int) -> str:
    """Return the beginning of HTML that nh3 wrote, without a tag or a reference that is cut off."""
    if len(written) <= length:
        return written
    written = written[: max(length, 0)]
    tag = written.rfind("<")
    if tag > written.rfind(">"):
        written = written[:tag]
    reference = written.rfind("&", max(len(written) - _LONGEST_REFERENCE, 0))
    return written[:reference] if reference >= 0 and ";" not in written[reference:] else written


def balanced(html: str, allowed: frozenset[str], room: int, on_links: str) -> str:
    """Return HTML in which each tag has its partner, in order, at most `MOST_NESTED` deep.

    Tags that are not allowed go, and so do comments and the content of elements of no text. A `<` that begins no whole
    tag becomes text. Linear in the length. Ends where nh3 would write more than `room` characters, of which `on_links` are
    what it adds to each link.
    """
    page = _Page(room)
    place = 0
    while page.room > 0 and (start := html.find("<", place)) >= 0:
        page.text(html[place:start])
        token = _TOKEN.match(html, start)
        if token is None:
            page.text("&lt;")
            place = start + 1
        elif name := (token["name"] or "").lower():
            place = token.end()
            if name in UNREADABLE:
                place = place if token["end"] else _after(f"</{name}", html, place)
            elif name not in allowed:
                continue
            elif token["end"]:
                page.end(name)
            else:
                page.start(name, token[0], token["rest"], on_links if name == "a" else "")
        else:
            place = _after("-->" if token["comment"] else ">", html, token.end())
    page.text(html[place:])
    page.close(0)
    return "".join(page.pieces)


def _after(what: str, html: str, place: int) -> int:
    found = html.find(what, place)
    return len(html) if found < 0 else found + (len(what) if what.endswith(">") else 0)


def _ended_by(name: str, opened: list[str]) -> int | None:
    """The place of the outermost open element that this start tag ends."""
    if name not in _ENDS:
        return None
    ends, within = _ENDS[name]
    found = None
    for place in range(len(opened) - 1, -1, -1):
        if opened[place] in within:
            break
        if opened[place] in ends:
            found = place
    return found


def stays(written: str) -> bool:
    """Whether HTML that nh3 wrote is read as the same tree again. False if in doubt."""
    opened: list[str] = []
    for end, name in _WRITTEN.findall(written):
        if end:
            if not opened or opened.pop() != name:
                return False
            continue
        if name in _TABLE or (opened and _ended_by(name, opened) is not None):
            return False
        if name not in _VOID:
            opened.append(name)
            if len(opened) > MOST_NESTED:
                return False
    return not opened
