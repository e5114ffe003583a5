"""What a limiter answers."""

from __future__ import annotations

from typing import NamedTuple


class RateLimitStatus(NamedTuple):
    """One decision of a limiter, taken in one atomic step; true if the request was admitted.

    A named tuple, as `limits.WindowStats` is one: immutable, without a `__dict__`, and a quarter of the price of a
    frozen dataclass, which would be the dearest part of a decision.

    Attributes:
        allowed: whether the request was admitted.
        remaining: whole permits that are left after this decision.
        retry_after: seconds until the same request would be admitted if nobody else came; 0 if it was, infinite if it
            never can be.
        reset_after: seconds until the limiter is as if it had never been used.
        limit: the most that can be admitted at once; of several limits, that of the one that decided.
        delay: seconds that an admitted request is to wait before it goes; only a leaky bucket as a queue asks for it.
        fallback: whether a local share decided because the shared storage does not answer.
    """

    allowed: bool
    remaining: int
    retry_after: float
    reset_after: float
    limit: int
    delay: float = 0.0
    fallback: bool = False

    def __bool__(self) -> bool:
        return self.allowed
