"""What looks like a secret, by the name it goes under."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

REDACTED: Final = "[REDACTED]"
MAX_MESSAGE: Final = 500
"""Characters kept of an error's text."""

KNOWN_KEYS: Final = 1024

_SECRET_WORDS: Final = (
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "authorization",
    "credential",
    "cookie",
    "sessionid",
    "signature",
)
_SPLIT_WORDS: Final = ("api[-_ ]key", "access[-_ ]key", "private[-_ ]key", "session[-_ ]id")
_NO_WORD: Final = re.compile(r"[\W_]+")
_USER_INFO: Final = re.compile(r"(?<=://)[^/\s@]+(?=@)")
_VALUE: Final = r"((?:bearer|basic)\s+\S+|\"[^\"]*\"|'[^']*'|[^\s,;&\"']+)"


class Redactor:
    """Knows secret-looking keys, however these are spelled: `api_key`, `X-Api-Key`, `apiKey`.

    Args:
        more: further words; a key that holds one of them is secret as well.
    """

    def __init__(self, more: Iterable[str] = ()) -> None:
        words = (*_SECRET_WORDS, *filter(None, map(_folded, more)))
        self._secret = re.compile("|".join(map(re.escape, words)))
        spelled = "|".join((*map(re.escape, words), *_SPLIT_WORDS))
        # The same few keys come again and again, and folding one costs more than looking it up.
        self._known = lru_cache(KNOWN_KEYS)(lambda key: self._secret.search(_folded(key)) is not None)
        self._in_text = re.compile(rf"(?i)([\w-]*(?:{spelled})[\w-]*[\"']?\s*[:=]\s*){_VALUE}")

    def is_secret(self, key: str) -> bool:
        """Tell whether what stands under this key must not be kept."""
        return self._known(key)

    def text(self, message: str) -> str:
        """Return the beginning of an error's text, without what stands after a secret-looking word or before a URL's host."""
        # Cut first, with room to see a secret whole: the text may be of any length.
        cut = message[: 4 * MAX_MESSAGE]
        shown = self._in_text.sub(rf"\g<1>{REDACTED}", _USER_INFO.sub(REDACTED, cut))
        return shown[:MAX_MESSAGE].replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def _folded(key: str) -> str:
    return _NO_WORD.sub("", key).lower()
