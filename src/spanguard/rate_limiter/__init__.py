"""Rate limiting: limiters of several strategies, their manager, strategies for `limits`, backpressure, and adaptive limits."""

from spanguard.rate_limiter.adaptive import (
    AdaptiveLimiter,
    AdaptiveLimitExceededError,
    AdaptiveStats,
    Aimd,
    Gradient2,
    Vegas,
)
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
from spanguard.rate_limiter.strategies import (
    AsyncLeakyBucketQueueRateLimiter,
    AsyncLeakyBucketRateLimiter,
    AsyncSlidingWindowEstimateRateLimiter,
    AsyncSlidingWindowLogRateLimiter,
    AsyncTokenBucketRateLimiter,
    LeakyBucketQueueRateLimiter,
    LeakyBucketRateLimiter,
    SlidingWindowEstimateRateLimiter,
    SlidingWindowLogRateLimiter,
    TokenBucketRateLimiter,
)
from spanguard.rate_limiter.wait_times import TimeInQueue

__all__ = [
    "AdaptiveLimitExceededError",
    "AdaptiveLimiter",
    "AdaptiveStats",
    "Aimd",
    "AsyncLeakyBucketQueueRateLimiter",
    "AsyncLeakyBucketRateLimiter",
    "AsyncSlidingWindowEstimateRateLimiter",
    "AsyncSlidingWindowLogRateLimiter",
    "AsyncTokenBucketRateLimiter",
    "BackpressureError",
    "BackpressureManager",
    "BackpressureStats",
    "BlockingWaitError",
    "CoDel",
    "Gradient2",
    "LeakyBucketLimiter",
    "LeakyBucketQueueRateLimiter",
    "LeakyBucketRateLimiter",
    "LimiterStats",
    "PressureChange",
    "QueueClosedError",
    "QueueEmptyError",
    "RateLimitExceededError",
    "RateLimitManager",
    "RateLimitStatus",
    "RateLimiter",
    "SlidingWindowEstimateRateLimiter",
    "SlidingWindowLimiter",
    "SlidingWindowLogRateLimiter",
    "TimeInQueue",
    "TokenBucketLimiter",
    "TokenBucketRateLimiter",
    "Vegas",
    "rate_limit_manager",
]
