"""What a bulkhead raises in place of a call."""

from __future__ import annotations

from typing import Literal

from spanguard.errors import SpanguardError, notes_of


class BulkheadFullError(SpanguardError, TimeoutError):
    """The bulkhead had no permit for the call within the time that it would wait, so the call was not made.

    Attributes:
        name: the bulkhead's name.
        outcome: "rejected" if there was no place in the queue, "timed_out" if it waited in vain.
        limit: the calls that it lets run at once.
        queued: the calls that waited at that moment, this one not among them.
        waited: seconds that this call had waited.
    """

    def __init__(
        self, name: str, outcome: Literal["rejected", "timed_out"], limit: int, queued: int, waited: float
    ) -> None:
        self.name = name
        self.outcome = outcome
        self.limit = limit
        self.queued = queued
        self.waited = waited
        if outcome == "timed_out":
            why = f"this call has waited {waited:.3g} s for one of the {limit} permits"
        else:
            why = f"all {limit} permits are taken and there is no place in the queue ({queued} wait)"
        super().__init__(f"bulkhead {name!r} is full: {why}. The call was not made.")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.name, self.outcome, self.limit, self.queued, self.waited), notes_of(self)
