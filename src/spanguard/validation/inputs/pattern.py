"""Patterns of texts on a linear engine, compiled once a process."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

import re2

MAX_PATTERNS: Final = 512
"""Compiled patterns that are kept; who uses more of them in turn compiles again."""

_MEMORY: Final = 8 << 20  # bytes that the automaton of one pattern may grow to; beyond, it is slower, not wrong

Match = Callable[[bytes], object]

_matches: dict[str, Match] = {}
_generation = 0
_of_parents: list[Any] = []


def compiled(pattern: str) -> Match:
    """Return the function that tells whether the whole of a text, in UTF-8, is as the pattern says.

    Raises:
        re2.error: it is no pattern, or one that no linear engine knows, with a look-around or a reference back.
    """
    match = _matches.get(pattern)
    if match is None:
        options = re2.Options()
        # The engine's wrapper keeps patterns by their options: with other memory, a child gets one of its own.
        options.max_mem = _MEMORY + _generation
        options.log_errors = False
        options.never_capture = True
        match = re2.compile(pattern.encode(), options).fullmatch
        if len(_matches) >= MAX_PATTERNS:
            _matches.clear()
        _matches[pattern] = match
    return match


def _after_fork_in_child() -> None:
    # A pattern has a lock of its own, which a thread of the parent may have held. The child compiles its own at first
    # use, and keeps the parent's untouched: to destroy one that is locked is no better than to use it.
    global _matches, _generation  # noqa: PLW0603 - the one place where they change
    _of_parents.append(_matches)
    _matches = {}
    _generation += 1


os.register_at_fork(after_in_child=_after_fork_in_child)
