"""A server with so many workers, clients that never rest, and an adaptive limiter between them, on a clock that is moved by hand."""

from __future__ import annotations

import heapq
import itertools
import random
import statistics
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from spanguard.rate_limiter import AdaptiveLimiter, AdaptiveLimitExceededError
from spanguard.testing import FakeClock

RETRY = 0.25

Event = tuple[float, int, Callable[[], None]]


@dataclass(frozen=True)
class Course:
    """What was seen in some time.

    Attributes:
        limit: the median of the limit, over the events.
        lowest: the least limit.
        highest: the greatest limit.
        latency: mean seconds of a call that was served.
        utilization: calls that ended, as a share of what the server can do at best.
    """

    limit: float
    lowest: int
    highest: int
    latency: float
    utilization: float


@dataclass
class Simulation:
    """A closed system with the service times of an M/M/c queue: exponential, from a fixed seed.

    Attributes:
        workers: what the server does at once; may be changed while it runs.
        service: seconds that a call takes on average, without a wait.
        clients: each makes its next call as soon as the last one ended, or `RETRY` seconds after it was turned away.
        places: calls that the server lets wait; it drops the others. None for any number.
    """

    limiter: AdaptiveLimiter
    clock: FakeClock
    workers: int
    service: float = 0.1
    clients: int = 60
    places: int | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        self.latencies: list[float] = []
        self.limits: list[int] = []
        self._random = random.Random(self.seed)
        self._events: list[Event] = []
        self._order = itertools.count()
        self._waiting: deque[tuple[Any, float]] = deque()
        self._busy = 0
        self.add_clients(self.clients)

    def add_clients(self, number: int) -> None:
        for _ in range(number):
            self._at(self._random.uniform(0, RETRY), self._ask)

    def run(self, seconds: float) -> Course:
        """Go on for so long; return what was seen in this time."""
        self.latencies.clear()
        self.limits.clear()
        end = self.clock.monotonic() + seconds
        while self._events[0][0] <= end:
            moment, _, happen = heapq.heappop(self._events)
            self.clock.advance(max(0.0, moment - self.clock.monotonic()))
            happen()
            self.limits.append(self.limiter.limit)
        self.clock.advance(end - self.clock.monotonic())
        return Course(
            limit=statistics.median(self.limits),
            lowest=min(self.limits),
            highest=max(self.limits),
            latency=statistics.mean(self.latencies),
            utilization=len(self.latencies) * self.service / self.workers / seconds,
        )

    def _at(self, seconds: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.clock.monotonic() + seconds, next(self._order), happen))

    def _ask(self) -> None:
        call = self.limiter.calling()
        try:
            # In a context of its own, as another thread would: calls end in any order.
            copy_context().run(call.__enter__)
        except AdaptiveLimitExceededError:
            self._at(RETRY, self._ask)
            return
        if self._busy < self.workers:
            self._serve(call, self.clock.monotonic())
        elif self.places is None or len(self._waiting) < self.places:
            self._waiting.append((call, self.clock.monotonic()))
        else:
            call.drop()
            call.__exit__(None, None, None)
            self._at(RETRY, self._ask)

    def _serve(self, call: Any, since: float) -> None:
        self._busy += 1
        self._at(self._random.expovariate(1 / self.service), lambda: self._end(call, since))

    def _end(self, call: Any, since: float) -> None:
        self._busy -= 1
        call.__exit__(None, None, None)
        self.latencies.append(self.clock.monotonic() - since)
        if self._waiting and self._busy < self.workers:
            self._serve(*self._waiting.popleft())
        self._ask()
