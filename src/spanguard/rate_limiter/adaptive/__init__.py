"""Adaptive concurrency: a limit that is found from latency."""

from spanguard.rate_limiter.adaptive.algorithms import Aimd, Algorithm, Estimate, Estimator, Gradient2, Vegas, Window
from spanguard.rate_limiter.adaptive.errors import AdaptiveLimitExceededError
from spanguard.rate_limiter.adaptive.limiter import AdaptiveLimiter
from spanguard.rate_limiter.adaptive.stats import AdaptiveStats

__all__ = [
    "AdaptiveLimitExceededError",
    "AdaptiveLimiter",
    "AdaptiveStats",
    "Aimd",
    "Algorithm",
    "Estimate",
    "Estimator",
    "Gradient2",
    "Vegas",
    "Window",
]
