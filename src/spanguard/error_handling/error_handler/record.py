"""An error as callbacks and statistics see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Protocol


class ErrorSeverity(IntEnum):
    """How bad it is; they can be compared."""

    WARNING = 1
    ERROR = 2
    CRITICAL = 3


class ErrorSource(StrEnum):
    """Where an error surfaced: the application reported it, or one of Python's last resorts did."""

    APPLICATION = "application"
    MAIN_THREAD = "main_thread"
    THREAD = "thread"
    ASYNCIO = "asyncio"
    UNRAISABLE = "unraisable"


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """One error, or the summary of equal ones that followed it.

    Attributes:
        error: the exception; None in a summary, which would keep its frames alive.
        error_class: its class.
        error_type: the class's name as it stands in signals.
        severity: how bad it is.
        handled: whether the application caught and reported it.
        source: where it surfaced.
        count: errors that the record stands for.
        first_at: when the first of them came, in seconds since the Unix epoch.
        last_at: when the last of them came.
    """

    error: BaseException | None = field(repr=False)
    error_class: type[BaseException]
    error_type: str
    severity: ErrorSeverity
    handled: bool
    source: ErrorSource
    count: int
    first_at: float
    last_at: float


class ErrorCallback(Protocol):
    """What hears of errors, in the thread in which they surfaced. What it raises is kept away."""

    def __call__(self, record: ErrorRecord, /) -> None:
        """Take one record."""
        ...


@dataclass(frozen=True, slots=True)
class ErrorStats:
    """What was seen of one type; times are seconds since the Unix epoch."""

    handled: int
    unhandled: int
    first_at: float
    last_at: float

    @property
    def count(self) -> int:
        """All of them."""
        return self.handled + self.unhandled
