"""Configuration: the environment an application runs in, and the profile of its guards."""

from spanguard.config_manager.environment import Environment
from spanguard.config_manager.profile import Profile, bundled_profiles, load_profile
from spanguard.config_manager.sections import (
    AlertSettings,
    BreakerSettings,
    BudgetSettings,
    BulkheadSettings,
    DeadLetterSettings,
    GuardSettings,
    LimiterSettings,
    RetrySettings,
    TimeoutSettings,
)

__all__ = [
    "AlertSettings",
    "BreakerSettings",
    "BudgetSettings",
    "BulkheadSettings",
    "DeadLetterSettings",
    "Environment",
    "GuardSettings",
    "LimiterSettings",
    "Profile",
    "RetrySettings",
    "TimeoutSettings",
    "bundled_profiles",
    "load_profile",
]
