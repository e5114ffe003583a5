"""What is kept of a failed operation: JSON of bounded size, without what looks like a secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from spanguard.error_handling.dead_letter.errors import DeadLetterPayloadError
from spanguard.telemetry.redaction import REDACTED, Redactor

MAX_DEPTH: Final = 100

# Asked by exact class first: most values are one of these, and the general question costs more than all the rest.
_PLAIN: Final = frozenset({str, int, bool, type(None)})
_encode: Final = json.JSONEncoder(separators=(",", ":")).encode


def dump(payload: object, redactor: Redactor, *, max_bytes: int) -> str:
    """Return the payload as JSON, without the values of secret-looking keys.

    Raises:
        DeadLetterPayloadError: it holds what JSON cannot, or is larger than `max_bytes`. No value of it is shown.
    """
    try:
        text = _encode(_clean(payload, redactor, 0))
    except DeadLetterPayloadError:
        raise
    except ValueError:  # an int of more digits than Python writes out
        raise DeadLetterPayloadError(
            "the payload holds an int that is too large for text. Nothing was stored."
        ) from None
    if len(text) > max_bytes:
        raise DeadLetterPayloadError(
            f"the payload is {len(text)} bytes of JSON; max_payload_bytes is {max_bytes}. Nothing was stored. "
            "Keep a reference to large data in the payload instead of the data, or raise max_payload_bytes."
        )
    return text


def _clean(value: object, redactor: Redactor, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise DeadLetterPayloadError(
            f"the payload is nested deeper than {MAX_DEPTH} levels, or holds itself. Nothing was stored."
        )
    if type(value) in _PLAIN or isinstance(value, (str, int)):
        return value
    if isinstance(value, float):
        if not isfinite(value):
            raise DeadLetterPayloadError(
                f"level {depth} of the payload holds NaN or an infinity, which JSON has not. Nothing was stored."
            )
        return value
    if isinstance(value, (dict, Mapping)):
        return {_key(key, depth): _entry(key, entry, redactor, depth) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(entry, redactor, depth + 1) for entry in value]
    raise DeadLetterPayloadError(
        f"level {depth} of the payload holds a {type(value).__name__}, which is not JSON. Nothing was stored. Use "
        "dict, list, str, int, float, bool and None; write dates and ids as text."
    )


def _entry(key: str, value: object, redactor: Redactor, depth: int) -> Any:
    return REDACTED if redactor.is_secret(key) else _clean(value, redactor, depth + 1)


def _key(key: object, depth: int) -> str:
    if not isinstance(key, str):
        raise DeadLetterPayloadError(
            f"level {depth} of the payload has a key of the type {type(key).__name__}; keys in JSON are text. "
            "Nothing was stored."
        )
    return key
