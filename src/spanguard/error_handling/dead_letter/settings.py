"""The settings of a dead-letter queue, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from typing import Final

from spanguard.errors import ConfigurationError

MAX_NAME: Final = 200
_NAME: Final = re.compile(r"[\w.:/-]+")


@dataclass(frozen=True, slots=True)
class DeadLetterSettings:
    """All that a queue decides by; see `DeadLetterQueue` for the meaning of each."""

    max_payload_bytes: int
    max_replays: int
    replay_backoff: float
    max_replay_backoff: float
    lease: float
    handler_timeout: float | None
    max_age: float | None
    max_letters: int | None
    redact: tuple[str, ...]
    keep_error_messages: bool

    def check(self, name: str) -> None:
        """Refuse settings that are out of range or contradict each other.

        Raises:
            ConfigurationError: all that is wrong, in one message.
        """
        problems = [*name_problems("name", name), *self._out_of_range()]
        if not problems and self.max_replay_backoff < self.replay_backoff:
            problems.append(
                f"max_replay_backoff is {self.max_replay_backoff} s, below replay_backoff = {self.replay_backoff} s; "
                "raise it, or lower replay_backoff."
            )
        if problems:
            raise ConfigurationError([f"dead-letter queue {name!r}: {problem}" for problem in problems])

    def backoff(self, replays: int) -> float:
        """Return the seconds to wait after so many failed replays: doubled each time, up to the cap."""
        doublings = min(replays - 1, 60)
        return float(min(self.replay_backoff * 2**doublings, self.max_replay_backoff))

    def _out_of_range(self) -> Iterator[str]:
        yield from whole_problems("max_payload_bytes", self.max_payload_bytes)
        yield from whole_problems("max_replays", self.max_replays)
        if self.max_letters is not None:
            yield from whole_problems("max_letters", self.max_letters, hint=", or None for no bound")
        yield from _seconds("replay_backoff", self.replay_backoff)
        yield from _seconds("max_replay_backoff", self.max_replay_backoff)
        yield from _seconds("lease", self.lease)
        if self.handler_timeout is not None:
            yield from _seconds("handler_timeout", self.handler_timeout, hint=", or None for no bound")
        if self.max_age is not None:
            yield from _seconds("max_age", self.max_age, hint=", or None for no bound")


def name_problems(setting: str, value: object) -> Iterator[str]:
    """Yield what is wrong with the name of a queue or an operation."""
    if not isinstance(value, str) or not _is_name(value):
        yield (
            f"{setting} is {value!r}; it must be 1 to {MAX_NAME} letters, digits and any of . _ : / -, since it becomes "
            "an attribute of signals."
        )


@lru_cache(256)
def _is_name(value: str) -> bool:
    return _NAME.fullmatch(value) is not None and len(value) <= MAX_NAME


def whole_problems(name: str, value: object, *, hint: str = "") -> Iterator[str]:
    """Yield what is wrong with a count."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        yield f"{name} is {value!r}; it must be a whole number of at least 1{hint}."


def _seconds(name: str, value: object, *, hint: str = "") -> Iterator[str]:
    if not isinstance(value, int | float) or isinstance(value, bool) or not (isfinite(value) and value > 0):
        yield f"{name} is {value!r}; it must be seconds, above 0 and finite{hint}."
