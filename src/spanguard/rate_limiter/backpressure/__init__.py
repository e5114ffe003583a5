"""The bounded queue under backpressure."""

from spanguard.rate_limiter.backpressure.codel import CoDel
from spanguard.rate_limiter.backpressure.errors import BackpressureError, QueueClosedError, QueueEmptyError
from spanguard.rate_limiter.backpressure.manager import BackpressureManager
from spanguard.rate_limiter.backpressure.settings import Policy
from spanguard.rate_limiter.backpressure.stats import BackpressureStats, PressureChange

__all__ = [
    "BackpressureError",
    "BackpressureManager",
    "BackpressureStats",
    "CoDel",
    "Policy",
    "PressureChange",
    "QueueClosedError",
    "QueueEmptyError",
]
