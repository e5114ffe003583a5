"""What makes a queue, and a handler that fails."""

from __future__ import annotations

from collections.abc import Callable

from spanguard.error_handling import DeadLetter, DeadLetterQueue

MakeQueue = Callable[..., DeadLetterQueue]


def fail(letter: DeadLetter) -> None:
    raise ConnectionError(letter.operation)
