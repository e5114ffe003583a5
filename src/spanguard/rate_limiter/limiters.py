"""A limiter for each strategy, with the numbers that it is commonly told by."""

from __future__ import annotations

from typing import Unpack

from spanguard.rate_limiter.limiter import Options, RateLimiter
from spanguard.rate_limiter.rules import Strategy, bucket
from spanguard.rate_limiter.rules import window as window_rule


class TokenBucketLimiter(RateLimiter):
    """`rate` permits a second on average, up to `burst` of them at once.

    Args:
        rate: permits a second, more than 0.
        burst: permits that are there after a quiet time, and the most that one request can ask for.
        name: the policy's name in every signal; "10/s" for a rate of 10, if left out.
        options: as for `RateLimiter`: storage, storage_timeout, fallback_share, max_waiters, clock.

    Raises:
        ConfigurationError: a setting is out of range; other errors as for `RateLimiter`.
    """

    def __init__(
        self,
        rate: float,
        burst: int,
        *,
        name: str | None = None,
        **options: Unpack[Options],
    ) -> None:
        name = name if name is not None else f"{rate}/s"
        self._start([bucket(name, "token_bucket", rate, burst)], name, **options)

    @property
    def rate(self) -> float:
        """Permits a second."""
        return float(self._rules[0].rate)

    @property
    def burst(self) -> int:
        """The most permits at once."""
        return self._rules[0].limit

    def __repr__(self) -> str:
        return f"TokenBucketLimiter(rate={self.rate:g}, burst={self.burst!r}, name={self._name!r})"

    def reconfigure(self, rate: float | None = None, burst: int | None = None) -> None:
        """Have other numbers from now on. What was used stays used, and those who wait keep their places.

        Who waits for more than the new burst is turned away.

        Raises:
            ConfigurationError: a number is out of range.
        """
        rate = self.rate if rate is None else rate
        self._change([bucket(self._name, "token_bucket", rate, self.burst if burst is None else burst)])


class LeakyBucketLimiter(RateLimiter):
    """A bucket that holds `capacity` and leaks `rate` a second: it smooths.

    As a queue, requests go one after the other, evenly, 1/rate apart; with `wait` they stand in the bucket, and one that
    finds it full is turned away at once. As a meter, whatever fits in the bucket goes at once: the law of a token bucket
    with that burst (ITU-T I.371, annex A).

    Args:
        rate: permits a second, more than 0.
        capacity: permits that the bucket holds, and the most that one request can ask for.
        as_queue: whether it is a queue or a meter.
        name: the policy's name in every signal; "10/s" for a rate of 10, if left out.
        options: as for `RateLimiter`: storage, storage_timeout, fallback_share, max_waiters, clock.

    Raises:
        ConfigurationError: a setting is out of range; other errors as for `RateLimiter`.
    """

    def __init__(
        self,
        rate: float,
        capacity: int,
        *,
        as_queue: bool = True,
        name: str | None = None,
        **options: Unpack[Options],
    ) -> None:
        name = name if name is not None else f"{rate}/s"
        strategy: Strategy = "leaky_bucket_queue" if as_queue else "leaky_bucket"
        self._start([bucket(name, strategy, rate, capacity, setting="capacity")], name, **options)

    @property
    def rate(self) -> float:
        """Permits a second."""
        return float(self._rules[0].rate)

    @property
    def capacity(self) -> int:
        """Permits that the bucket holds."""
        return self._rules[0].limit

    def __repr__(self) -> str:
        as_queue = self._rules[0].strategy == "leaky_bucket_queue"
        return (
            f"LeakyBucketLimiter(rate={self.rate:g}, capacity={self.capacity!r}, as_queue={as_queue}, "
            f"name={self._name!r})"
        )

    def reconfigure(self, rate: float | None = None, capacity: int | None = None) -> None:
        """Have other numbers from now on, as `TokenBucketLimiter.reconfigure`.

        Raises:
            ConfigurationError: a number is out of range.
        """
        rate = self.rate if rate is None else rate
        capacity = self.capacity if capacity is None else capacity
        self._change([bucket(self._name, self._rules[0].strategy, rate, capacity, setting="capacity")])


class SlidingWindowLimiter(RateLimiter):
    """`limit` requests in any `window` seconds, wherever the window is laid.

    Args:
        limit: requests in a window, and the most that one request can ask for.
        window: its length in seconds.
        exact: keep a log of all requests in the window; without it an estimate from two counters, as if the requests of
            the window before had come evenly: two numbers a key, however large the limit.
        name: the policy's name in every signal; "100/60s" for 100 in 60 seconds, if left out.
        options: as for `RateLimiter`: storage, storage_timeout, fallback_share, max_waiters, clock.

    Raises:
        ConfigurationError: a setting is out of range; other errors as for `RateLimiter`.
    """

    def __init__(
        self,
        limit: int,
        window: float,
        *,
        exact: bool = True,
        name: str | None = None,
        **options: Unpack[Options],
    ) -> None:
        name = name if name is not None else f"{limit}/{window}s"
        strategy: Strategy = "sliding_window_log" if exact else "sliding_window_estimate"
        self._start([window_rule(name, strategy, limit, window)], name, **options)

    @property
    def limit(self) -> int:
        """Requests in a window."""
        return self._rules[0].limit

    @property
    def window(self) -> float:
        """Seconds."""
        return float(self._rules[0].period)

    def __repr__(self) -> str:
        exact = self._rules[0].strategy == "sliding_window_log"
        return f"SlidingWindowLimiter(limit={self.limit!r}, window={self.window:g}, exact={exact}, name={self._name!r})"

    def reconfigure(self, limit: int | None = None, window: float | None = None) -> None:
        """Have other numbers from now on, as `TokenBucketLimiter.reconfigure`.

        Raises:
            ConfigurationError: a number is out of range.
        """
        limit = self.limit if limit is None else limit
        window = self.window if window is None else window
        self._change([window_rule(self._name, self._rules[0].strategy, limit, window)])
