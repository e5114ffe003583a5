"""Ctrl-C at the wrong moment: held back for as long as a step must not be cut in two."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_HELD_BACK = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back until the block is left; then they do what they would have done.

    Handlers and not a signal mask, for a mask would be inherited by the programs started within. Only the main thread
    runs handlers, so in every other thread there is nothing to hold back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    # A handler that was not set from Python is None here, and could not be put back.
    before = {number: handler for number in _HELD_BACK if (handler := signal.getsignal(number)) is not None}
    for number in before:
        signal.signal(number, lambda number, _frame: received.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for held_back in dict.fromkeys(received):
            signal.raise_signal(held_back)
