"""Rate limiting: limiters of several strategies, their manager, strategies for `limits`, and backpressure."""

from spanguard.rate_limiter.backpressure import (
    BackpressureError,
    BackpressureManager,
    BackpressureStats,
    CoDel,
    PressureChange,
    QueueClosedError,
    QueueEmptyError,
)
from spanguard.rate_limiter.errors import BlockingWaitError, RateLimitExceededError
from spanguard.rate_limiter.limiter import RateLimiter
from spanguard.rate_limiter.limiters import LeakyBucketLimiter, SlidingWindowLimiter, TokenBucketLimiter
from spanguard.rate_limiter.manager import RateLimitManager, rate_limit_manager
from spanguard.rate_limiter.stats import LimiterStats
from spanguard.rate_limiter.status import RateLimitStatus
from spanguard.rate_limiter.strategies import TokenBucketRateLimiter
from spanguard.rate_limiter.wait_times import TimeInQueue

__all__ = [
    "BackpressureError",
    "BackpressureManager",
    "BackpressureStats",
    "BlockingWaitError",
    "CoDel",
    "LeakyBucketLimiter",
    "LimiterStats",
    "PressureChange",
    "QueueClosedError",
    "QueueEmptyError",
    "RateLimitExceededError",
    "RateLimitManager",
    "RateLimitStatus",
    "RateLimiter",
    "SlidingWindowLimiter",
    "TimeInQueue",
    "TokenBucketLimiter",
    "TokenBucketRateLimiter",
    "rate_limit_manager",
]
