"""What both kinds of middleware share: their settings, and the answer to a request."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from spanguard.errors import ConfigurationError
from spanguard.rate_limiter.http.fields import Fields, limit_fields, refusal
from spanguard.rate_limiter.http.requests import HttpRequest, KeyOf, client_address
from spanguard.rate_limiter.limiter import RateLimiter
from spanguard.rate_limiter.manager import rate_limit_manager
from spanguard.rate_limiter.status import RateLimitStatus

CostOf = Callable[[HttpRequest], int]
"""Says how many permits a request takes."""


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask of the limiter for one request."""

    limiter: RateLimiter
    key: str
    tokens: int


class Gate:
    """The settings of a middleware, checked.

    Raises:
        ConfigurationError: `max_wait` is no time.
    """

    __slots__ = ("_cost", "_key", "_limiter", "_tell", "timeout", "waits")

    def __init__(
        self, limiter: RateLimiter | str, key: KeyOf | None, cost: CostOf | None, max_wait: float, *, tell: bool
    ) -> None:
        if math.isnan(max_wait) or max_wait < 0:
            raise ConfigurationError(f"max_wait is {max_wait!r}; it must be 0 or more seconds")
        self._limiter = limiter
        self._key = client_address() if key is None else key
        self._cost = cost
        self._tell = tell
        self.waits = max_wait > 0
        self.timeout = max_wait if self.waits else None

    def question(self, request: HttpRequest) -> Question | None:
        """Return what to ask; None if the request counts against no limit."""
        key = self._key(request)
        if key is None:
            return None
        # A name is looked up for each request: the limiter behind it may be configured later, or anew.
        limiter = rate_limit_manager.get_limiter(self._limiter) if isinstance(self._limiter, str) else self._limiter
        return Question(limiter, key, 1 if self._cost is None else self._cost(request))

    def fields(self, question: Question, status: RateLimitStatus) -> Fields:
        """Return the fields to add to the application's response."""
        return limit_fields(question.limiter.name, question.limiter.rules, status) if self._tell else []

    def refusal(self, question: Question, status: RateLimitStatus) -> tuple[Fields, bytes]:
        """Return the fields and the body of the response in place of the application's."""
        return refusal(question.limiter.name, question.limiter.rules, status, tell=self._tell)
