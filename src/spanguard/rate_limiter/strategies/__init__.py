"""Strategies of `limits` on its own storages, registered beside those that it has."""

from spanguard.rate_limiter.strategies.asynchronous import (
    AsyncLeakyBucketQueueRateLimiter,
    AsyncLeakyBucketRateLimiter,
    AsyncSlidingWindowEstimateRateLimiter,
    AsyncSlidingWindowLogRateLimiter,
    AsyncTokenBucketRateLimiter,
)
from spanguard.rate_limiter.strategies.synchronous import (
    LeakyBucketQueueRateLimiter,
    LeakyBucketRateLimiter,
    SlidingWindowEstimateRateLimiter,
    SlidingWindowLogRateLimiter,
    TokenBucketRateLimiter,
)

__all__ = [
    "AsyncLeakyBucketQueueRateLimiter",
    "AsyncLeakyBucketRateLimiter",
    "AsyncSlidingWindowEstimateRateLimiter",
    "AsyncSlidingWindowLogRateLimiter",
    "AsyncTokenBucketRateLimiter",
    "LeakyBucketQueueRateLimiter",
    "LeakyBucketRateLimiter",
    "SlidingWindowEstimateRateLimiter",
    "SlidingWindowLogRateLimiter",
    "TokenBucketRateLimiter",
]
