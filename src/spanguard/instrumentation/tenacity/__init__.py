"""The plugin of `tenacity`, and what a retry emits."""

from spanguard.instrumentation.tenacity.instrumentor import TenacityInstrumentor
from spanguard.instrumentation.tenacity.signals import UNNAMED, Reason, RetrySignals, describe

__all__ = ["UNNAMED", "Reason", "RetrySignals", "TenacityInstrumentor", "describe"]
