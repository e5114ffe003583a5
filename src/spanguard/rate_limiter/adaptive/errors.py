"""What an adaptive limiter raises in place of a call."""

from __future__ import annotations

from typing import Literal

from spanguard.errors import SpanguardError, notes_of


class AdaptiveLimitExceededError(SpanguardError, TimeoutError):
    """As many calls ran as the limit allows, so this one was not made.

    Attributes:
        name: the limiter's name.
        outcome: "rejected" if there was no place in the queue, "timed_out" if it waited in vain.
        limit: the calls that might run at once at that moment.
        queued: the calls that waited, this one not among them.
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
        why = f"; this call has waited {waited:.3g} s" if outcome == "timed_out" else f" ({queued} wait)"
        super().__init__(
            f"adaptive limiter {name!r} lets {limit} calls run at once now, and they do{why}. The call was not made."
        )

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.name, self.outcome, self.limit, self.queued, self.waited), notes_of(self)
