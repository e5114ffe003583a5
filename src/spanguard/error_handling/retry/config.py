"""The settings of a retry, and what is wrong with them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import pybreaker

from spanguard.error_handling.retry.budget import RetryBudget
from spanguard.errors import PROGRAMMING_ERRORS, ConfigurationError, SpanguardError

Jitter = Literal["none", "full", "equal", "decorrelated"]
RetryOn = type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]

OWN_BUDGET: Final = ""
"""The `budget` of a policy that shares with nobody but the policies of the same name."""

NEVER_BY_DEFAULT: Final = (
    pybreaker.CircuitBreakerError,
    *PROGRAMMING_ERRORS,
    LookupError,
    ArithmeticError,
    StopIteration,
    StopAsyncIteration,
)
"""A refusal, what is wrong with the program, and the end of an iteration: it would be the same the next time. Retried only if named."""


@dataclass(frozen=True, slots=True)
class RetryConfig:
    """When a call is made again, and how long it waits before.

    Args:
        max_attempts: attempts in all, the first included; None for no limit (then `timeout` is needed).
        base_delay: seconds before the second attempt, before jitter.
        max_delay: the most seconds of one wait.
        multiplier: by how much the wait grows with each attempt; 2 is the usual exponential backoff.
        jitter: how chance spreads the waits, in the words of the AWS Architecture Blog, "Exponential Backoff and
            Jitter" (M. Brooker, 2015). With d = min(max_delay, base_delay x multiplier^n): "none" waits d, "full"
            between 0 and d, "equal" between d/2 and d, "decorrelated" between base_delay and 3 times the last wait.
        timeout: seconds from the first attempt after which no further one begins; it interrupts none. None for no limit.
        retry_on: an error class, several of them, or a function that tells. Of classes, refusals of other guards
            (a circuit breaker, a rate limiter, a deadline) and programming errors are retried only if they, or
            subclasses of theirs, are named themselves; a function decides alone.
        retry_result: tells whether a returned value asks for another attempt. The last value is returned as it is.
        honor_retry_after: wait at least as long as an HTTP error asks for in `Retry-After`.
        max_retry_after: the most seconds that such an error can make the call wait.
        budget: the name of a `retry_budget` that is shared, a `RetryBudget`, or None for none. Left out, it is one of
            the default settings, shared by the policies of the same name.
    """

    max_attempts: int | None = 3
    base_delay: float = 0.1
    max_delay: float = 30.0
    multiplier: float = 2.0
    jitter: Jitter = "full"
    timeout: float | None = None
    retry_on: RetryOn = Exception
    retry_result: Callable[[Any], bool] | None = None
    honor_retry_after: bool = True
    max_retry_after: float = 60.0
    budget: RetryBudget | str | None = OWN_BUDGET

    def __post_init__(self) -> None:
        """Refuse settings that are out of range or contradict each other.

        Raises:
            ConfigurationError: all that is wrong, in one message.
        """
        problems = [*self._out_of_range(), *self._contradictions()]
        if problems:
            raise ConfigurationError([f"retry: {problem}" for problem in problems])

    def changed(self, **changes: Any) -> RetryConfig:
        """Return these settings with some of them changed.

        Raises:
            ConfigurationError: a setting is unknown or wrong.
        """
        known = [field.name for field in dataclasses.fields(self)]
        unknown = [name for name in changes if name not in known]
        if unknown:
            raise ConfigurationError(
                [f"retry: {name!r} is no setting; there are: {', '.join(known)}." for name in unknown]
            )
        return dataclasses.replace(self, **changes) if changes else self

    def _out_of_range(self) -> Iterator[str]:
        if self.max_attempts is not None and not _is_whole(self.max_attempts):
            yield f"max_attempts is {self.max_attempts!r}; it must be a whole number of at least 1, or None for no limit."
        for name in ("base_delay", "max_delay", "max_retry_after"):
            if not _is_at_least(0, value := getattr(self, name)):
                yield f"{name} is {value!r}; it must be seconds, at least 0 and finite."
        if not _is_at_least(1, self.multiplier):
            yield f"multiplier is {self.multiplier!r}; it must be a number of at least 1."
        if self.timeout is not None and (not _is_at_least(0, self.timeout) or self.timeout == 0):
            yield f"timeout is {self.timeout!r}; it must be seconds, above 0 and finite, or None for no limit."
        if self.jitter not in get_args(Jitter):
            yield f"jitter is {self.jitter!r}; it must be one of {', '.join(get_args(Jitter))}."
        if not _are_errors(self.retry_on) and (isinstance(self.retry_on, type | tuple) or not callable(self.retry_on)):
            yield f"retry_on is {self.retry_on!r}; it must be an error class, a tuple of them, or a function."
        if self.retry_result is not None and not callable(self.retry_result):
            yield f"retry_result is {self.retry_result!r}; it must be a function, or None."
        if self.budget is not None and not isinstance(self.budget, RetryBudget | str):
            yield f"budget is {self.budget!r}; it must be a RetryBudget, the name of one, or None."

    def _contradictions(self) -> Iterator[str]:
        if self.max_attempts is None and self.timeout is None:
            yield "max_attempts and timeout are both None, so it would never give up; set one of them."
        if _is_at_least(0, self.base_delay) and _is_at_least(0, self.max_delay) and self.base_delay > self.max_delay:
            yield f"base_delay is {self.base_delay}, above max_delay, which is {self.max_delay}; swap or change them."

    def wants_retry(self, error: BaseException) -> bool:
        """Tell whether this error is worth another attempt."""
        if not isinstance(error, Exception):
            return False
        retry_on = self.retry_on
        if not isinstance(retry_on, type | tuple):
            return bool(retry_on(error))
        named = retry_on if isinstance(retry_on, tuple) else (retry_on,)
        matching = [kind for kind in named if isinstance(error, kind)]
        if not _is_hopeless(type(error)):
            return bool(matching)
        return any(_is_hopeless(kind) and kind is not SpanguardError for kind in matching)


def _is_hopeless(kind: type[BaseException]) -> bool:
    if issubclass(kind, SpanguardError):
        return not kind.is_retryable
    return issubclass(kind, NEVER_BY_DEFAULT)


def _are_errors(value: object) -> bool:
    kinds = value if isinstance(value, tuple) else (value,)
    return bool(kinds) and all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_at_least(least: float, value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value < math.inf
