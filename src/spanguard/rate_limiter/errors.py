"""The errors of this room."""

from __future__ import annotations

from spanguard.errors import BlockingWaitError, SpanguardError, notes_of
from spanguard.rate_limiter.status import RateLimitStatus

__all__ = ["BlockingWaitError", "RateLimitExceededError"]


class RateLimitExceededError(SpanguardError, TimeoutError):
    """What a limiter guards was not done, because it had no permit.

    Attributes:
        name: the limiter's name.
        status: the decision, with `retry_after`.
    """

    def __init__(self, name: str, status: RateLimitStatus) -> None:
        self.name = name
        self.status = status
        super().__init__(f"rate limiter {name!r} has no permit; retry in {status.retry_after:.3g} s")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.name, self.status), notes_of(self)
