"""Text for the place where it is written: an attribute, a script, a link, a table, a log, a shell.

Escaping what is escaped already would show the escapes. So each function reads its own spelling first, cleans the text, and
writes it: what it wrote it leaves as it is.
"""

from __future__ import annotations

import html
import re
import shlex
from typing import Final
from urllib.parse import quote, unquote

from spanguard.validation.normal_form import composed
from spanguard.validation.sanitizers.text import beginning, clean_text

MAX_TEXT: Final = 100_000
"""Characters of a text that are kept; what is written of one can be twelve times as long."""

_MOST_GROWTH = 12  # one character as four bytes by percent

_JS_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "\\'\"`$<>&\n\t\x7f"}
_JS_ESCAPE = re.compile(r"\\u([0-9a-ce-fA-CE-F][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2})")
_QUOTED = re.compile(r"""'((?:[^']|'"'"')*+)'""")
_FORMULA = re.compile('[\\s"]*[=+\\-@\u2212\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b]')
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(?:[.,][0-9]{1,40})?(?:[eE][+-]?[0-9]{1,4})?%?")


def html_attribute(text: str, *, max_length: int = MAX_TEXT) -> str:
    """Return the text for an attribute of HTML between quotes: `title="..."`. Not for a link: it can be `javascript:`.

    References such as `&amp;` are read first, so escaping twice changes nothing more.
    """
    clean = _clean(html.unescape(_read(text, max_length)), max_length)
    return html.escape(clean).replace("`", "&#96;").replace("\n", "&#10;").replace("\t", "&#9;")


def js_string(text: str, *, max_length: int = MAX_TEXT) -> str:
    r"""Return the text for a string of JavaScript between quotes, in a script of a page or a file of its own.

    Escapes such as `\u0027` are read first, so escaping twice changes nothing more.
    """
    plain = _JS_ESCAPE.sub(lambda match: chr(int(match[1], 16)), _read(text, max_length))
    return _clean(plain, max_length).translate(_JS_ESCAPES)


def url_parameter(text: str, *, max_length: int = MAX_TEXT) -> str:
    """Return the text for the value, or the name, of a parameter in a URL.

    Bytes by percent are read first, so escaping twice changes nothing more.
    """
    return quote(_clean(unquote(_read(text, max_length)), max_length), safe="")


def csv_cell(text: str, *, max_length: int = MAX_TEXT) -> str:
    """Return the text for a cell of a table that a spreadsheet will open: on one line, and no formula.

    What a spreadsheet could take for a formula gets an apostrophe before it; numbers stay. Hand the cell to `csv.writer`:
    it owns the quotes and the separators.
    """
    clean = " ".join(_clean(_read(text, max_length), max_length).split("\n")).replace("\t", " ")
    if _FORMULA.match(clean) and not _NUMBER.fullmatch(clean):
        clean = f"'{clean}"
    return clean[:max_length]


def log_line(text: str, *, max_length: int = MAX_TEXT) -> str:
    r"""Return the text as part of one line of a log: each line break in it, of any kind, is written as `\n`."""
    line = _clean(_read(text, max_length), max_length).replace("\n", "\\n").replace("\t", " ")
    return composed(line)[:max_length]  # the `n` takes the accent that stood behind the line break


def shell_argument(text: str, *, max_length: int = MAX_TEXT) -> str:
    """Return the text as one argument for a POSIX shell. Better: no shell at all (`subprocess.run([...])`).

    It is an argument, but may be an option: write `--` before it. It is not for cmd.exe or PowerShell. Quotes of its own
    kind are read first, so quoting twice changes nothing more.
    """
    read = _read(text, max_length)
    quoted = _QUOTED.fullmatch(read)
    return shlex.quote(_clean(quoted[1].replace("'\"'\"'", "'") if quoted else read, max_length))


def plain_text(text: str, *, max_length: int = MAX_TEXT, keep_joiners: bool = False) -> str:
    """Return the text as `clean_text` does, at most `max_length` characters of it; of what is not a string, none."""
    return clean_text(beginning(text, max_length), keep_joiners=keep_joiners)[:max_length]


def _read(text: str, max_length: int) -> str:
    return beginning(text, max_length * _MOST_GROWTH)


def _clean(text: str, max_length: int) -> str:
    return clean_text(text)[:max_length]
