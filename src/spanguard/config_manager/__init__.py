"""Configuration: the environment an application runs in, and the profile of its guards."""

from spanguard.config_manager.environment import Environment
from spanguard.config_manager.profile import (
    AlertSettings,
    BreakerSettings,
    LimiterSettings,
    Profile,
    bundled_profiles,
    load_profile,
)

__all__ = [
    "AlertSettings",
    "BreakerSettings",
    "Environment",
    "LimiterSettings",
    "Profile",
    "bundled_profiles",
    "load_profile",
]
