"""The settings of an adaptive limiter, checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spanguard.errors import ConfigurationError
from spanguard.forms import wrong_seconds

DropOn = type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]


@dataclass(frozen=True, slots=True)
class Settings:
    """What `AdaptiveLimiter` was given; see there.

    Raises:
        ConfigurationError: settings are out of range or contradict each other; all are named.
    """

    initial: int
    minimum: int
    maximum: int
    queue: int
    max_wait: float | None
    window: float
    window_calls: int
    event_step: float

    def check(self, name: str) -> None:
        """Refuse what makes no sense."""
        problems = [
            f"{setting} is {getattr(self, setting)!r}; it must be a whole number of calls, at least {least}."
            for setting, least in (("initial", 1), ("minimum", 1), ("maximum", 1), ("queue", 0), ("window_calls", 1))
            if getattr(self, setting).__class__ is not int or getattr(self, setting) < least
        ]
        if not problems and not self.minimum <= self.initial <= self.maximum:
            problems.append(
                f"initial is {self.initial}, minimum {self.minimum} and maximum {self.maximum}; the first must not lie "
                "outside the other two."
            )
        if wrong := wrong_seconds("window", self.window):
            problems.append(wrong)
        if self.max_wait is not None and (wrong := wrong_seconds("max_wait", self.max_wait, hint=", or None")):
            problems.append(wrong)
        if self.event_step.__class__ not in (int, float) or not 0 <= self.event_step <= 1:
            problems.append(f"event_step is {self.event_step!r}; it must be a share of the limit, from 0 to 1.")
        if problems:
            raise ConfigurationError([f"adaptive limiter {name!r}: {problem}" for problem in problems])
