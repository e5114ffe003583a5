"""From a table of the profile to its rate limiter, and from another table to other limits of the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from spanguard.config_manager import LimiterSettings
from spanguard.rate_limiter import LeakyBucketLimiter, RateLimiter, SlidingWindowLimiter, TokenBucketLimiter

_FIXED: Final = ("strategy", "storage", "storage_timeout", "fallback_share", "max_waiters")


def new_limiter(name: str, settings: LimiterSettings) -> RateLimiter:
    """Build a limiter; one on a server is asked for at once.

    Raises:
        ConfigurationError: a setting is wrong.
        ResourceUnavailableError: nobody answers at the storage's URL, and there is no `fallback_share`.
    """
    options: dict[str, Any] = {"max_waiters": settings.max_waiters}
    if settings.storage is not None:
        options |= {
            "storage": settings.storage.get_secret_value(),
            "storage_timeout": settings.storage_timeout,
            "fallback_share": settings.fallback_share,
        }
    return _built(name, settings, options)


def checked(name: str, settings: LimiterSettings) -> LimiterSettings:
    """Return the settings if a limiter can be built of them; no server is asked.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    _built(name, settings, {"max_waiters": settings.max_waiters})
    return settings


def is_as_declared(limiter: RateLimiter, settings: LimiterSettings) -> bool:
    """Tell whether a limiter of the code keeps to what the profile says; where it is kept cannot be told from it."""
    return settings.storage is None and limiter.rules == _built(limiter.name, settings, {}).rules


def change(limiter: RateLimiter, settings: LimiterSettings) -> None:
    """Give a limiter other limits. What was used stays used."""
    if settings.limits is not None:
        limiter.change_limits(settings.limits)
        return
    reconfigurable: Any = limiter  # of the class that takes these numbers: `unchangeable` refuses any other
    reconfigurable.reconfigure(**settings.numbers)


def unchangeable(name: str, former: LimiterSettings, settings: LimiterSettings) -> Iterator[str]:
    """Yield what differs and cannot while the limiter runs."""
    differing = [setting for setting in _FIXED if getattr(former, setting) != getattr(settings, setting)]
    yield from (f"rate_limiters.{name}.{each} cannot change while the system runs; restart it." for each in differing)
    if "strategy" in differing:
        return
    if (former.limits is None) != (settings.limits is None):
        yield f"rate_limiters.{name}.limits cannot come or go while the system runs; restart it."
    elif len(_built(name, former, {}).rules) != len(_built(name, settings, {}).rules):
        yield f"rate_limiters.{name}.limits: how many there are cannot change while the system runs; restart it."


def _built(name: str, settings: LimiterSettings, options: dict[str, Any]) -> RateLimiter:
    if settings.limits is not None:
        return RateLimiter(settings.limits, strategy=settings.strategy, name=name, **options)
    arguments: dict[str, Any] = {**settings.numbers, **options, "name": name}
    if settings.strategy == "token_bucket":
        return TokenBucketLimiter(**arguments)
    if settings.strategy in ("leaky_bucket", "leaky_bucket_queue"):
        return LeakyBucketLimiter(**arguments, as_queue=settings.strategy == "leaky_bucket_queue")
    return SlidingWindowLimiter(**arguments, exact=settings.strategy == "sliding_window_log")
