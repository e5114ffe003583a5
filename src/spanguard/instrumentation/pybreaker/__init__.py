"""The plugin of `pybreaker`, and what a circuit breaker emits."""

from spanguard.instrumentation.pybreaker.instrumentor import PybreakerInstrumentor
from spanguard.instrumentation.pybreaker.signals import UNNAMED, BreakerSignals, Outcome, Reason, State, StateChange

__all__ = ["UNNAMED", "BreakerSignals", "Outcome", "PybreakerInstrumentor", "Reason", "State", "StateChange"]
