"""The algorithms, in exact arithmetic, in this process's memory."""

from spanguard.rate_limiter.engines.all_of import AllOf, combine
from spanguard.rate_limiter.engines.buckets import Buckets, Queues
from spanguard.rate_limiter.engines.making import engine_for
from spanguard.rate_limiter.engines.table import TICKS_PER_SECOND
from spanguard.rate_limiter.engines.window_estimates import WindowEstimates
from spanguard.rate_limiter.engines.window_logs import WindowLogs

__all__ = ["TICKS_PER_SECOND", "AllOf", "Buckets", "Queues", "WindowEstimates", "WindowLogs", "combine", "engine_for"]
