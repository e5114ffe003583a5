"""A dependency that fails for a while, and the names of what is counted."""

from __future__ import annotations

from spanguard import semconv
from spanguard.testing import FakeClock

CALLS = semconv.RETRY_CALLS_METRIC.name


OUTCOME = semconv.RETRY_OUTCOME.key


REASON = semconv.RETRY_REASON.key


class Dependency:
    """Raises what it is told to, one error after the other, and then returns its name; remembers when it was asked."""

    def __init__(self, clock: FakeClock, *errors: BaseException) -> None:
        self.clock = clock
        self.errors = list(errors)
        self.asked: list[float] = []

    def __call__(self) -> str:
        self.asked.append(self.clock.monotonic())
        if self.errors:
            raise self.errors.pop(0)
        return "answer"

    @property
    def waits(self) -> list[float]:
        return [round(after - before, 6) for before, after in zip(self.asked, self.asked[1:], strict=False)]


def errors(count: int) -> list[ConnectionError]:
    return [ConnectionError(str(number)) for number in range(count)]
