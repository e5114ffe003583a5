"""The retry, and the budget that bounds it."""

from spanguard.error_handling.retry.budget import RetryBudget, retry_budget
from spanguard.error_handling.retry.config import Jitter, RetryConfig
from spanguard.error_handling.retry.retrying import Attempt, Retry, with_retry
from spanguard.error_handling.retry.stats import RetryStats

__all__ = ["Attempt", "Jitter", "Retry", "RetryBudget", "RetryConfig", "RetryStats", "retry_budget", "with_retry"]
