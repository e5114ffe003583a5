"""Rate limiting: limiters of several strategies, their manager, and strategies for `limits`."""

from spanguard.rate_limiter.errors import BlockingWaitError, RateLimitExceededError
from spanguard.rate_limiter.limiter import RateLimiter
from spanguard.rate_limiter.limiters import LeakyBucketLimiter, SlidingWindowLimiter, TokenBucketLimiter
from spanguard.rate_limiter.manager import RateLimitManager, rate_limit_manager
from spanguard.rate_limiter.stats import LimiterStats
from spanguard.rate_limiter.status import RateLimitStatus
from spanguard.rate_limiter.strategies import TokenBucketRateLimiter
from spanguard.rate_limiter.wait_times import TimeInQueue

__all__ = [
    "BlockingWaitError",
    "LeakyBucketLimiter",
    "LimiterStats",
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
