"""What the code says of a guard. What it leaves open, the profile decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal

from spanguard import forms
from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.error_handling import (
    Bulkhead,
    CircuitBreaker,
    DeadLetterQueue,
    GracefulDegradation,
    Retry,
    RetryConfig,
    Timeout,
)
from spanguard.errors import ConfigurationError
from spanguard.rate_limiter import RateLimiter

Kind = Literal["rate_limiter", "bulkhead", "retry", "circuit_breaker", "timeout", "dead_letter"]

SECTIONS: Final[dict[Kind, str]] = {
    "rate_limiter": "rate_limiters",
    "bulkhead": "bulkheads",
    "retry": "retries",
    "circuit_breaker": "circuit_breakers",
    "timeout": "timeouts",
    "dead_letter": "dead_letters",
}
"""The kinds of policies that have a name, and the section of the profile for each."""

_CLASSES: Final[dict[Kind, type]] = {
    "rate_limiter": RateLimiter,
    "bulkhead": Bulkhead,
    "retry": Retry,
    "circuit_breaker": CircuitBreaker,
    "timeout": Timeout,
    "dead_letter": DeadLetterQueue,
}


class Open(Enum):
    """Stands for what the code leaves open."""

    OPEN = "open"


OPEN: Final = Open.OPEN
Choice = str | None | object
"""The name of a policy, None for none, or the policy itself."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What the code says of one guard; see `Guard` for the meaning of each.

    Attributes:
        choices: the policies that it settles, by their kind.
        fallback: what stands in, ready to use.
    """

    name: str
    choices: Mapping[Kind, Choice] = field(default_factory=dict)
    deadline: float | Open | None = OPEN
    max_wait: float | Open = OPEN
    fallback: GracefulDegradation | None = None
    exclude: tuple[Any, ...] = ()
    retry_changes: Mapping[str, Any] = field(default_factory=dict)
    dead_letter_payload: Callable[..., Any] | None = None
    dead_letter_operation: str | None = None
    clock: Clock = SYSTEM_CLOCK


def declare(
    name: str,
    *,
    rate_limiter: Any,
    bulkhead: Any,
    retry: Any,
    circuit_breaker: Any,
    timeout: Any,
    dead_letter: Any,
    deadline: Any,
    max_wait: Any,
    fallback: Any,
    exclude: Any,
    retry_on: Any,
    retry_result: Any,
    dead_letter_payload: Any,
    dead_letter_operation: str | None,
    clock: Clock,
) -> Declaration:
    """Return what the code says, with the policies built that it gives as numbers or settings.

    Raises:
        ConfigurationError: all that is wrong, in one message.
    """
    forms.check_name("guard", name)
    given: dict[Kind, Any] = {
        "rate_limiter": rate_limiter,
        "bulkhead": bulkhead,
        "retry": retry,
        "circuit_breaker": circuit_breaker,
        "timeout": timeout,
        "dead_letter": dead_letter,
    }
    problems = list(_wrong_numbers(deadline, max_wait))
    if dead_letter_payload is not None and not callable(dead_letter_payload):
        problems.append(
            f"dead_letter_payload is {dead_letter_payload!r}; it must be a function of the call's arguments."
        )
    choices: dict[Kind, Choice] = {}
    stands_in = None
    changes = {
        key: value for key, value in (("retry_on", retry_on), ("retry_result", retry_result)) if value is not None
    }
    try:
        choices = {kind: _built(kind, name, choice, clock) for kind, choice in given.items() if choice is not OPEN}
    except ConfigurationError as error:
        problems += error.problems
    try:
        RetryConfig().changed(**changes)
        stands_in = _built_fallback(name, fallback, clock)
    except ConfigurationError as error:
        problems += error.problems
    for kind, choice in choices.items():
        if not (choice is None or isinstance(choice, str | _CLASSES[kind])):
            problems.append(
                f"{kind} is {type(choice).__name__}; it must be a {_CLASSES[kind].__name__}, the name of one, or None."
            )
    if problems:
        raise ConfigurationError([f"guard {name!r}: {problem}" for problem in problems])
    return Declaration(
        name=name,
        choices=choices,
        deadline=deadline,
        max_wait=max_wait,
        fallback=stands_in,
        exclude=tuple(exclude),
        retry_changes=changes,
        dead_letter_payload=dead_letter_payload,
        dead_letter_operation=dead_letter_operation,
        clock=clock,
    )


def _built(kind: Kind, name: str, choice: Choice, clock: Clock) -> Choice:
    if kind == "timeout" and isinstance(choice, int | float):
        return Timeout(choice, name=name, clock=clock)
    if kind == "retry" and isinstance(choice, RetryConfig):
        return Retry(choice, name=name, clock=clock)
    return choice


def _built_fallback(name: str, given: Any, clock: Clock) -> GracefulDegradation | None:
    if given is OPEN or isinstance(given, GracefulDegradation):
        return None if given is OPEN else given
    return GracefulDegradation(given, name=name, clock=clock)


def _wrong_numbers(deadline: Any, max_wait: Any) -> Iterator[str]:
    if deadline is not OPEN and deadline is not None:
        problem = forms.wrong_seconds("deadline", deadline, hint=", or None for none")
        if problem:
            yield problem
    if max_wait is not OPEN and max_wait != 0:
        problem = forms.wrong_seconds("max_wait", max_wait, hint=", or 0 to wait for nothing")
        if problem:
            yield problem
