"""The plugin of `limits`, and what a rate limiter emits."""

from spanguard.instrumentation.limits.instrumentor import LimitsInstrumentor
from spanguard.instrumentation.limits.recorder import KnowsRetryAfter
from spanguard.instrumentation.limits.signals import LimiterSignals

__all__ = ["KnowsRetryAfter", "LimiterSignals", "LimitsInstrumentor"]
