"""The value of `error.type`: low in cardinality whatever an application raises."""

from __future__ import annotations

import threading
from typing import Final

OTHER: Final = "_OTHER"
"""OpenTelemetry's fallback value for an error type that is not tracked."""

MAX_TYPES: Final = 100
"""Distinct error types that one process tells apart; classes made at run time must not flood the metrics."""

_names: dict[type[BaseException], str] = {}
_lock = threading.Lock()


def error_type(error: BaseException | type[BaseException]) -> str:
    """Return the name of an error's class as OpenTelemetry wants it: `module.QualifiedName`, bare for built-ins."""
    cls = error if isinstance(error, type) else type(error)
    known = _names.get(cls)
    if known is not None:
        return known
    with _lock:
        if len(_names) >= MAX_TYPES:
            return OTHER
        name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
        return _names.setdefault(cls, name)
