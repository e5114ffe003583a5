"""The exception tree: one root, and each leaf is also what callers already catch.

    SpanguardError
    ├── ConfigurationError (ValueError)      a setting is unknown, contradictory or out of range
    ├── ResourceUnavailableError (OSError)   a port, a program or a server that is needed is not there
    ├── CircuitBreakerError (pybreaker.CircuitBreakerError)   in spanguard.error_handling
    ├── RateLimitExceededError (TimeoutError)                 in spanguard.rate_limiter
    └── BlockingWaitError (RuntimeError)                      in spanguard.rate_limiter

The leaves that belong to one guard are defined beside it; the root and what every room needs stand here.
"""

from __future__ import annotations

from collections.abc import Sequence


class SpanguardError(Exception):
    """The root of every error that spanguard raises on purpose."""


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

    def __reduce__(self) -> tuple[type[ConfigurationError], tuple[tuple[str, ...]]]:
        return type(self), (self.problems,)


class ResourceUnavailableError(SpanguardError, OSError):
    """Something outside the process that is needed is not there: a port, a program, a server.

    The message says which one, where it was looked for and what to do.
    """
