"""What a guard would be made of, as plain settings; and what is nonsense about it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from spanguard.error_handling import (
    BreakerSettings,
    BulkheadFullError,
    CallTimeoutError,
    CircuitBreakerError,
    RetryConfig,
    TimeWindow,
)
from spanguard.error_handling.retry.config import OWN_BUDGET
from spanguard.guard.declaration import Declaration
from spanguard.rate_limiter import RateLimitExceededError


class Waits(Protocol):
    """What matters of a bulkhead here."""

    @property
    def max_wait(self) -> float | None:
        """Seconds in the queue at most."""
        ...


@dataclass(frozen=True, slots=True)
class Outline:
    """The settings of all policies of one guard; None for a policy that it does not have.

    Attributes:
        declaration: what the code says, None for a guard that only the profile knows so far.
    """

    name: str
    declaration: Declaration | None
    has_limiter: bool
    max_wait: float
    bulkhead: Waits | None
    retry: RetryConfig | None
    circuit_breaker: BreakerSettings | None
    timeout: float | None
    deadline: float | None
    has_dead_letter: bool


_GROWTH_OF_DECORRELATED: Final = 3


def retry_window(config: RetryConfig) -> float:
    """Return the seconds for which the retries of one call can go on: the sum of the longest waits.

    Neither the attempts themselves are in it nor what a server asks for in `Retry-After`. A `timeout` bounds it.
    """
    bound = math.inf if config.timeout is None else config.timeout
    waits = math.inf if config.max_attempts is None else config.max_attempts - 1
    base, most = config.base_delay, config.max_delay
    growth = _GROWTH_OF_DECORRELATED if config.jitter == "decorrelated" else config.multiplier
    if base == 0 or waits == 0:
        return bound if waits == math.inf else 0.0
    if growth == 1 or base == most:
        return min(bound, base * waits)
    growing = min(waits, math.ceil((math.log(most) - math.log(base)) / math.log(growth)))
    longest = math.exp(math.log(base) + (growing - 1) * math.log(growth))
    sum_of_growing = (longest * growth - base) / (growth - 1)
    return min(bound, sum_of_growing + (waits - growing) * most)


def breaker_window(settings: BreakerSettings) -> tuple[str, float]:
    """Return the setting that says for how long what a breaker has seen counts, and its seconds.

    That is its window, if it has one of seconds; else its reset timeout, after which it asks anew.
    """
    window = settings.effective_window
    if isinstance(window, TimeWindow):
        return "window", window.seconds
    return "reset_timeout", settings.reset_timeout


def contradictions(outline: Outline) -> Iterator[str]:
    """Yield all that is nonsense about a guard."""
    for problem in (
        *_without_policies(outline),
        *_times(outline),
        *_retries(outline),
        *_breaker(outline),
        *_without_effect(outline),
    ):
        yield f"guard {outline.name!r}: {problem}"


def of_blocks(name: str, *, has_retry: bool, has_fallback: bool, has_dead_letter: bool) -> Iterator[str]:
    """Yield what a guard must not have whose call is a block: that can neither be run again, nor replaced, nor kept."""
    for policy, is_there in (
        ("a retry", has_retry),
        ("a fallback", has_fallback),
        ("a dead-letter queue", has_dead_letter),
    ):
        if is_there:
            yield (
                f"guard {name!r}: it has {policy}, but it is used with calling(), and a block can neither be run again nor "
                "replaced nor kept for later; put the block into a function, or leave the policy out."
            )


def _without_policies(outline: Outline) -> Iterator[str]:
    declaration = outline.declaration
    if (
        outline.has_limiter
        or outline.has_dead_letter
        or outline.deadline is not None
        or any((outline.bulkhead, outline.retry, outline.circuit_breaker, outline.timeout))
        or (declaration is not None and declaration.fallback is not None)
    ):
        return
    yield (
        "it has no policy, so its calls would be unprotected; add a policy of this name to the profile, compose it in "
        f"[guards.{outline.name}], or give its settings where it is used."
    )


def _times(outline: Outline) -> Iterator[str]:
    deadline, timeout, max_wait = outline.deadline, outline.timeout, outline.max_wait
    if deadline is None:
        return
    if timeout is not None and timeout >= deadline:
        yield (
            f"the timeout of an attempt is {timeout:g} s, but the deadline of the whole call is {deadline:g} s, so the "
            "timeout would never act; lower it or raise the deadline."
        )
    if max_wait >= deadline:
        yield (
            f"max_wait is {max_wait:g} s, but the deadline of the whole call is {deadline:g} s, so a call could wait for "
            "the rate limiter until it is too late to begin; lower it or raise the deadline."
        )
    if outline.bulkhead is not None and outline.bulkhead.max_wait is not None and outline.bulkhead.max_wait >= deadline:
        yield (
            f"max_wait of the bulkhead is {outline.bulkhead.max_wait:g} s, but the deadline of the whole call is "
            f"{deadline:g} s, so a call could stand in the queue until it is too late to begin; lower it or raise the "
            "deadline."
        )
    if outline.retry is not None and outline.retry.timeout is not None and outline.retry.timeout > deadline:
        yield (
            f"timeout of the retry is {outline.retry.timeout:g} s, but the deadline of the whole call is {deadline:g} s, "
            "so it would never act; lower it or leave it out."
        )


def _retries(outline: Outline) -> Iterator[str]:
    retry, timeout, breaker = outline.retry, outline.timeout, outline.circuit_breaker
    if retry is None:
        return
    if timeout is not None and retry.timeout is not None and timeout >= retry.timeout:
        yield (
            f"the timeout of an attempt is {timeout:g} s, but the retry begins no further one after {retry.timeout:g} s "
            "(its timeout), so an attempt that times out would never be made again; lower the one or raise the other."
        )
    if retry.max_attempts == 1 and retry.budget is not None and retry.budget != OWN_BUDGET:
        yield "max_attempts of the retry is 1, so its budget would never be used; raise it or leave the budget out."
    if breaker is None:
        return
    window = retry_window(retry)
    if outline.deadline is not None:
        window = min(window, outline.deadline)
    setting, seconds = breaker_window(breaker)
    if window > seconds:
        yield (
            f"the retries of one call can go on for {window:g} s, longer than what the circuit breaker has seen counts "
            f"({setting} = {seconds:g} s), so they would outlive it; lower max_attempts or max_delay, give the retry a "
            f"timeout, or raise {setting}."
        )


def _breaker(outline: Outline) -> Iterator[str]:
    breaker, timeout = outline.circuit_breaker, outline.timeout
    if breaker is None or timeout is None:
        return
    if breaker.slow_call is not None and breaker.slow_call.duration >= timeout:
        yield (
            f"slow_call.duration of the circuit breaker is {breaker.slow_call.duration:g} s, but an attempt has only "
            f"{timeout:g} s (its timeout), so no call could be slow; lower it or raise the timeout."
        )
    if timeout >= breaker.probe_lease:
        yield (
            f"the timeout of an attempt is {timeout:g} s, but a probe of the circuit breaker counts as lost after "
            f"probe_lease = {breaker.probe_lease:g} s; raise probe_lease above it."
        )


def _without_effect(outline: Outline) -> Iterator[str]:
    if outline.max_wait and not outline.has_limiter:
        yield f"max_wait is {outline.max_wait:g} s, but there is no rate limiter to wait for; add one or leave it out."
    declaration = outline.declaration
    if declaration is None:
        return
    if declaration.retry_changes and outline.retry is None:
        given = " and ".join(declaration.retry_changes)
        yield f"{given} is given, but there is no retry that would ask; add one or leave it out."
    if declaration.exclude and outline.circuit_breaker is None:
        yield "exclude is given, but there is no circuit breaker that would ask; add one or leave it out."
    if outline.has_dead_letter and declaration.dead_letter_payload is None:
        yield (
            "it has a dead-letter queue, but no dead_letter_payload, so no letter could be replayed; give a function that "
            'makes the payload of the call\'s arguments, or choose dead_letter = "none".'
        )
    if declaration.fallback is not None:
        yield from _fallback_without_effect(outline, declaration.fallback.answers)


def _fallback_without_effect(outline: Outline, answers: tuple[type[BaseException], ...]) -> Iterator[str]:
    """A call may raise whatever it likes, except for what only a policy raises that is not there."""
    raised_by: dict[type[BaseException], tuple[str, bool]] = {
        RateLimitExceededError: ("rate limiter", outline.has_limiter),
        BulkheadFullError: ("bulkhead", outline.bulkhead is not None),
        CircuitBreakerError: ("circuit breaker", outline.circuit_breaker is not None),
        CallTimeoutError: ("timeout or deadline", outline.timeout is not None or outline.deadline is not None),
    }
    if answers and all(error in raised_by and not raised_by[error][1] for error in answers):
        missing = " and ".join(f"no {raised_by[error][0]} that raises {error.__name__}" for error in answers)
        yield f"the fallback would never answer: there is {missing}; bind it to other errors or leave it out."
