"""The exception tree: one root, and each leaf is also what callers already catch.

    SpanguardError
    ├── BlockingWaitError (RuntimeError)     a blocking wait in a thread that runs an event loop
    ├── ConfigurationError (ValueError)      a setting is unknown, contradictory or out of range
    ├── DeadlineExceededError (TimeoutError) the deadline passed before the work could begin
    ├── ResourceUnavailableError (OSError)   a port, a program or a server that is needed is not there
    ├── CircuitBreakerError (pybreaker.CircuitBreakerError)   in spanguard.error_handling
    ├── RateLimitExceededError (TimeoutError)                 in spanguard.rate_limiter
    ├── AdaptiveLimitExceededError (TimeoutError)             in spanguard.rate_limiter
    ├── BackpressureError (queue.Full, TimeoutError)          in spanguard.rate_limiter
    ├── QueueEmptyError (queue.Empty, TimeoutError)           in spanguard.rate_limiter
    ├── QueueClosedError (RuntimeError)                       in spanguard.rate_limiter
    ├── BulkheadFullError (TimeoutError)                      in spanguard.error_handling
    ├── CallTimeoutError (TimeoutError)                       in spanguard.error_handling
    ├── FallbackFailedError (ExceptionGroup)                  in spanguard.error_handling
    ├── InvalidInputError (ValueError)                        in spanguard.validation
    ├── HostLookupError (OSError)                             in spanguard.validation
    └── DeadLetterError                                       in spanguard.error_handling
        ├── DeadLetterPayloadError (ValueError)
        ├── DeadLetterNotFoundError (LookupError)
        ├── DeadLetterLeasedError (RuntimeError)
        └── DeadLetterDatabaseError (RuntimeError)

The leaves that belong to one guard are defined beside it; the root and what every room needs stand here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

PROGRAMMING_ERRORS: Final = (
    TypeError,
    AttributeError,
    NameError,
    AssertionError,
    NotImplementedError,
    RecursionError,
    SyntaxError,
    ImportError,
)
"""What is wrong with the program and not with the call: to make it again would end the same way."""


class SpanguardError(Exception):
    """The root of every error that spanguard raises on purpose.

    Attributes:
        is_retryable: whether a retry takes it for worth another attempt unless told otherwise. A refusal is not: to
            repeat it at once is what the guard that refused wants to prevent.
    """

    is_retryable: ClassVar[bool] = False


def notes_of(error: BaseException) -> dict[str, list[str]] | None:
    """Return the notes of an error as the state that pickling and copying give back to it; None without notes.

    For the `__reduce__` of an error that is rebuilt from its attributes.
    """
    notes = getattr(error, "__notes__", None)
    return None if notes is None else {"__notes__": list(notes)}


class ConfigurationError(SpanguardError, ValueError):
    """One or more settings are wrong; all of them are named in the one message.

    Attributes:
        problems: one sentence a problem: which setting, which value, what is allowed, what to do.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        if len(self.problems) == 1:
            message = self.problems[0]
        else:
            message = "\n".join(
                [f"{len(self.problems)} problems in the configuration:", *(f"- {p}" for p in self.problems)]
            )
        super().__init__(message)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.problems,), notes_of(self)


class ResourceUnavailableError(SpanguardError, OSError):
    """Something outside the process that is needed is not there: a port, a program, a server.

    The message says which one, where it was looked for and what to do.
    """


class DeadlineExceededError(SpanguardError, TimeoutError):
    """The deadline that covers this work has passed, so the work was not begun."""


class BlockingWaitError(SpanguardError, RuntimeError):
    """A blocking wait was asked for in a thread that runs an event loop: it would stop every task of that loop."""
