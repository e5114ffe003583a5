"""The value of `error.type`: low in cardinality whatever an application raises."""

from __future__ import annotations

import os
import threading
from typing import Final

OTHER: Final = "_OTHER"
"""OpenTelemetry's fallback value for an error type that is not tracked."""

MAX_TYPES: Final = 100
"""Distinct error types that one process tells apart; classes made at run time must not flood the metrics."""

_names: dict[type[BaseException], str] = {}
# Re-entrant: a garbage collection inside the lock may close a guarded coroutine, whose end asks for its type.
_lock = threading.RLock()


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


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it; that thread does not exist here
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork_in_child)
