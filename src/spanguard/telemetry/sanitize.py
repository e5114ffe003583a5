"""What must not reach an exporter: one lone surrogate or one oversized int drops the whole batch it travels in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

AttributeValue = str | bool | int | float

MAX_TEXT: Final = 2048
"""Characters kept of one text value: enough for a sentence, too little to smuggle a document out."""

_INT64: Final = 2**63


def clean_text(text: str) -> str:
    """Return the text cut to `MAX_TEXT` characters, with what UTF-8 cannot carry replaced."""
    return text[:MAX_TEXT].encode("utf-8", "replace").decode("utf-8")


def clean_attributes(attributes: Mapping[str, AttributeValue | None]) -> dict[str, AttributeValue]:
    """Return the attributes without those that are None, every value safe to encode."""
    return {key: _clean(value) for key, value in attributes.items() if value is not None}


def _clean(value: AttributeValue) -> AttributeValue:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        return float(value)
    return value
