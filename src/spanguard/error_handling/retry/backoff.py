"""How long to wait before the next attempt: exponential backoff with jitter, and what an HTTP server asks for."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from spanguard.clock import Clock
from spanguard.error_handling.retry.config import RetryConfig

Uniform = Callable[[float, float], float]
"""Returns a number between two others by chance, as `random.uniform` does."""

_GROWTH_OF_DECORRELATED: Final = 3


def backoff(config: RetryConfig, attempt: int, last: float, uniform: Uniform) -> float:
    """Return the seconds to wait after a failed attempt.

    The formulas are those of the AWS Architecture Blog, "Exponential Backoff and Jitter".

    Args:
        config: base, cap, multiplier and jitter.
        attempt: which attempt failed; the first is 1.
        last: the seconds of the wait before it, 0 after the first.
        uniform: chance.
    """
    if config.jitter == "decorrelated":
        most = max(config.base_delay, last * _GROWTH_OF_DECORRELATED)
        return min(config.max_delay, uniform(config.base_delay, most))
    delay = _exponential(config, attempt)
    if config.jitter == "full":
        return uniform(0.0, delay)
    if config.jitter == "equal":
        return delay / 2 + uniform(0.0, delay / 2)
    return delay


def _exponential(config: RetryConfig, attempt: int) -> float:
    try:
        return min(config.max_delay, config.base_delay * float(config.multiplier) ** (attempt - 1))
    except OverflowError:
        return config.max_delay if config.base_delay else 0.0


def retry_after(error: BaseException, clock: Clock) -> float | None:
    """Return the seconds that an HTTP error asks to wait, None where it does not say.

    Read are `error.retry_after`, and the header `Retry-After` (RFC 9110, 10.2.3: seconds or an HTTP date) of
    `error.response.headers` (httpx, requests, aiohttp's clients) or `error.headers` (urllib, aiohttp).
    """
    asked = getattr(error, "retry_after", None)
    if asked is None:
        asked = _header(getattr(error, "response", None))
    if asked is None:
        asked = _header(error)
    seconds = _seconds(asked, clock)
    return None if seconds is None or math.isnan(seconds) else max(0.0, seconds)


def _header(bearer: object) -> object:
    get = getattr(getattr(bearer, "headers", None), "get", None)
    if get is None:
        return None
    # The headers of a client know no case; a plain dict does.
    value = get("Retry-After")
    return value if value is not None else get("retry-after")


def _seconds(asked: object, clock: Clock) -> float | None:
    if isinstance(asked, timedelta):
        return asked.total_seconds()
    if isinstance(asked, int | float) and not isinstance(asked, bool):
        return float(asked)
    if not isinstance(asked, str):
        return None
    text = asked.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return _aware(moment).timestamp() - clock.time()


def _aware(moment: datetime) -> datetime:
    """HTTP dates are in GMT, also where one ends in -0000, which leaves the zone open."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
