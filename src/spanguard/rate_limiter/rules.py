"""A limit in exact numbers: what every engine, in memory or on a server, is built from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal, get_args

from spanguard.errors import ConfigurationError

Strategy = Literal[
    "token_bucket", "leaky_bucket", "leaky_bucket_queue", "sliding_window_log", "sliding_window_estimate"
]
STRATEGIES: Final[tuple[Strategy, ...]] = get_args(Strategy)

MAX_RATE: Final = 1_000_000_000
"""Permits a second: about one for each tick."""
MAX_LIMIT: Final = 1_000_000_000
MAX_PERIOD: Final = 100 * 366 * 86_400
"""Seconds: a hundred years in microseconds are still a whole number to a server that counts in doubles."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`limit` permits in `period` seconds, under a strategy.

    Attributes:
        strategy: the algorithm.
        limit: the most permits at once: what a full bucket holds, what a window admits.
        period: seconds; of a bucket the time from empty to full, of a window its length.
    """

    strategy: Strategy
    limit: int
    period: Fraction

    @property
    def rate(self) -> Fraction:
        """Permits a second, on average."""
        return self.limit / self.period


def bucket(name: str, strategy: Strategy, rate: float | Fraction, burst: int, *, setting: str = "burst") -> Rule:
    """Return the rule of a bucket that earns `rate` permits a second and holds `burst`, a setting that may have another name.

    Raises:
        ConfigurationError: a setting is out of range; the message names the limiter, the setting and what is allowed.
    """
    problems = [*_rate_problems(name, rate), *_limit_problems(name, setting, burst)]
    if not problems and burst / exact(rate) > MAX_PERIOD:
        problems.append(
            f"limiter {name!r}: a {setting} of {burst} at a rate of {_shown(rate)} a second takes more than 100 years to fill; "
            f"use a smaller {setting} or a higher rate"
        )
    if problems:
        raise ConfigurationError(problems)
    return Rule(strategy, burst, burst / exact(rate))


def window(name: str, strategy: Strategy, limit: int, seconds: float | Fraction) -> Rule:
    """Return the rule of a window that admits `limit` requests in any `seconds`.

    Raises:
        ConfigurationError: as `bucket` does.
    """
    problems = _limit_problems(name, "limit", limit)
    if not _is_number(seconds):
        problems.append(f"limiter {name!r}: window is {seconds!r}; it must be a number of seconds")
    elif not (math.isfinite(seconds) and 0 < seconds <= MAX_PERIOD):
        problems.append(
            f"limiter {name!r}: window is {seconds!r} seconds; it must be more than 0 and at most 100 years"
        )
    elif not problems and limit / exact(seconds) > MAX_RATE:
        problems.append(
            f"limiter {name!r}: {limit} in {_shown(seconds)} seconds is more than {MAX_RATE} a second; use a longer window"
        )
    if problems:
        raise ConfigurationError(problems)
    return Rule(strategy, limit, exact(seconds))


def exact(number: float | Fraction) -> Fraction:
    """Return the number as people wrote it: 0.1 is a tenth, not the float nearest to it."""
    return Fraction(repr(number)) if isinstance(number, float) else Fraction(number)


def _rate_problems(name: str, rate: object) -> list[str]:
    if not _is_number(rate):
        return [f"limiter {name!r}: rate is {rate!r}; it must be a number of tokens a second"]
    if not (math.isfinite(rate) and 0 < rate <= MAX_RATE):  # type: ignore[arg-type, operator]
        return [
            f"limiter {name!r}: rate is {_shown(rate)} tokens a second; it must be more than 0 and at most {MAX_RATE}"
        ]
    return []


def _limit_problems(name: str, setting: str, limit: object) -> list[str]:
    if isinstance(limit, int) and not isinstance(limit, bool) and 1 <= limit <= MAX_LIMIT:
        return []
    return [f"limiter {name!r}: {setting} is {limit!r}; it must be a whole number from 1 to {MAX_LIMIT}"]


def _shown(number: object) -> str:
    return f"{float(number):g}" if isinstance(number, Fraction) else repr(number)


def _is_number(value: object) -> bool:
    return value.__class__ in (int, float, Fraction)
