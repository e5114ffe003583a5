"""What a bounded queue raises."""

from __future__ import annotations

import queue
from typing import Literal

from spanguard.errors import SpanguardError, notes_of


class BackpressureError(SpanguardError, TimeoutError, queue.Full):
    """The queue had no place for an item within the time that its producer would wait, so it did not take it.

    Attributes:
        name: the queue's name.
        outcome: "rejected" if the producer was not to wait, "timed_out" if it waited in vain.
        limit: the items that the queue can hold.
        waited: seconds that the producer had waited.
    """

    def __init__(self, name: str, outcome: Literal["rejected", "timed_out"], limit: int, waited: float) -> None:
        self.name = name
        self.outcome = outcome
        self.limit = limit
        self.waited = waited
        why = f" and stayed so for {waited:.3g} s" if outcome == "timed_out" else ""
        super().__init__(
            f"queue {name!r} is full ({limit} items){why}. The item was not taken; slow the producer down, or drop the item."
        )

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.name, self.outcome, self.limit, self.waited), notes_of(self)


class QueueEmptyError(SpanguardError, TimeoutError, queue.Empty):
    """No item came within the time that the consumer would wait.

    Attributes:
        name: the queue's name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"queue {name!r} is empty, and no item came in time.")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.name,), notes_of(self)


class QueueClosedError(SpanguardError, RuntimeError):
    """The queue was closed: it takes no more items, or has no more to give.

    Attributes:
        name: the queue's name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"queue {name!r} is closed; it takes no more items, and gives only those that it still has.")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.name,), notes_of(self)
