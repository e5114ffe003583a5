"""Graceful degradation: another answer where a call failed."""

from spanguard.error_handling.degradation.answers import Answer, Degraded, degraded_answers
from spanguard.error_handling.degradation.degradation import DegradationStats, GracefulDegradation, fallback
from spanguard.error_handling.degradation.errors import FallbackFailedError
from spanguard.error_handling.degradation.sources import FallbackFunction, FallbackValue, LastGood

__all__ = [
    "Answer",
    "DegradationStats",
    "Degraded",
    "FallbackFailedError",
    "FallbackFunction",
    "FallbackValue",
    "GracefulDegradation",
    "LastGood",
    "degraded_answers",
    "fallback",
]
