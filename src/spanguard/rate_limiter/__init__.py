"""Rate limiting: a token bucket as a limiter of its own and as a strategy of `limits`."""

from spanguard.rate_limiter.errors import BlockingWaitError, RateLimitExceededError
from spanguard.rate_limiter.limiter import LimiterStats, TokenBucketLimiter
from spanguard.rate_limiter.manager import RateLimitManager, rate_limit_manager
from spanguard.rate_limiter.status import RateLimitStatus
from spanguard.rate_limiter.strategies import TokenBucketRateLimiter

__all__ = [
    "BlockingWaitError",
    "LimiterStats",
    "RateLimitExceededError",
    "RateLimitManager",
    "RateLimitStatus",
    "TokenBucketLimiter",
    "TokenBucketRateLimiter",
    "rate_limit_manager",
]
