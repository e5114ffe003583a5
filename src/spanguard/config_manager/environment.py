"""Where an application runs."""

from __future__ import annotations

from enum import StrEnum


class Environment(StrEnum):
    """The value of `deployment.environment.name`."""

    DEVELOPMENT = "development"
    TESTING = "testing"
    STAGING = "staging"
    PRODUCTION = "production"
