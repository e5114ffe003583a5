"""The stack of an error without its message: the message may hold what a user typed, the frames are the program's own."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Final

from spanguard.telemetry import error_type
from spanguard.telemetry.sanitize import MAX_TEXT

MAX_FRAMES: Final = 30
MAX_CAUSES: Final = 5

Place = tuple[str, int]


def stack_of(error: BaseException) -> str:
    """Return the innermost frames that fit into an attribute, and the classes of the error and its causes."""
    end = "\n".join([error_type(error), *(f"caused by {error_type(cause)}" for cause in _causes(error))])[:MAX_TEXT]
    room, kept = MAX_TEXT - len(end), list[str]()
    for frame in reversed(traceback.format_list(traceback.extract_tb(error.__traceback__, limit=-MAX_FRAMES))):
        room -= len(frame)
        if room < 0:
            break
        kept.append(frame)
    return "".join(reversed(kept)) + end


def place_of(error: BaseException) -> Place:
    """Return file and line of the innermost frame."""
    innermost: TracebackType | None = error.__traceback__
    if innermost is None:
        return "", 0
    while innermost.tb_next is not None:
        innermost = innermost.tb_next
    return innermost.tb_frame.f_code.co_filename, innermost.tb_lineno


def _causes(error: BaseException) -> Iterator[BaseException]:
    for _ in range(MAX_CAUSES):
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None:
            return
        yield cause
        error = cause
