"""File names that Windows, macOS and Linux take, and that stay where they are put."""

from __future__ import annotations

import re
import sys
import unicodedata
from typing import Final

from spanguard.errors import ConfigurationError
from spanguard.validation.sanitizers.text import beginning, clean_text

MAX_FILENAME_BYTES: Final = 255
"""The most bytes of UTF-8 that ext4, APFS and NTFS all take as one name."""

MIN_FILENAME_BYTES: Final = 64
"""The least that may be set: enough to keep the ending and a stem that is no device of Windows."""

UNNAMED: Final = "unnamed"

_MOST_READ = 4_096
_END_READ = 96
_MOST_OF_ENDING = 16

# What no name may hold, and the characters that some systems and programs make of these: `U+FF0F` becomes a slash.
_FORBIDDEN = re.compile('[<>:"/\\\\|?*\n\t\u2047-\u2049\u2100\u2101\u2105\u2106\u2215\u2044\u29f5\u29f9\u2216\u2a74'
                        "\ufe13\ufe16\ufe55\ufe56\ufe61\ufe64\ufe65\ufe68\uff02\uff0a\uff0f\uff1a\uff1c\uff1e\uff1f\uff3c\uff5c]+")  # fmt: skip
_SPACES = re.compile(r"\s+")
_DEVICES = frozenset(
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"]
    + [f"{port}{n}" for port in ("COM", "LPT") for n in range(10)]
)


def clean_filename(name: str, *, max_bytes: int = MAX_FILENAME_BYTES) -> str:
    """Return a name for a file, from one that a stranger gave.

    Of a path the last part is taken. Characters that a system forbids become `_`. There is no leading dot, hyphen or
    tilde, no dot or space at the end, no name of a device of Windows (`NUL .txt`, `COM¹`), and never an empty name:
    that and what is not a string is "unnamed". Cleaning twice changes nothing more. Raises nothing
    because of the name.

    Two names can become one: give files that you store a name of your own, and keep this one to show.

    Args:
        name: any text.
        max_bytes: the most bytes of UTF-8, from 64 to 255; the ending is kept if it is short.

    Raises:
        ConfigurationError: `max_bytes` is out of range.
    """
    if not MIN_FILENAME_BYTES <= max_bytes <= MAX_FILENAME_BYTES:
        raise ConfigurationError(
            f"max_bytes is {max_bytes!r}; it must be a whole number from {MIN_FILENAME_BYTES} to {MAX_FILENAME_BYTES}."
        )
    path = beginning(name, sys.maxsize).rstrip("/\\")
    last = path[max(path.rfind("/"), path.rfind("\\")) + 1 :]
    if len(last) > _MOST_READ:
        last = last[: _MOST_READ - _END_READ] + last[-_END_READ:]
    clean = _SPACES.sub(" ", _FORBIDDEN.sub("_", clean_text(last))).strip(" .")
    if clean[:1] in {"-", "~"}:
        clean = f"_{clean[1:]}"
    if _is_device(clean):
        clean = f"_{clean}"
    return _shortened(clean, max_bytes) or UNNAMED


def _is_device(name: str) -> bool:
    stem = unicodedata.normalize("NFKC", name.partition(".")[0][:_MOST_OF_ENDING])
    return stem.strip().upper() in _DEVICES


def _shortened(name: str, max_bytes: int) -> str:
    if len(name.encode()) <= max_bytes:
        return name
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending.encode()) > _MOST_OF_ENDING:
        stem, dot, ending = name, "", ""
    room = max_bytes - len(f"{dot}{ending}".encode())
    return f"{stem.encode()[:room].decode(errors='ignore').rstrip(' .')}{dot}{ending}"
