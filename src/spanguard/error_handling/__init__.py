"""What stands between a call and its errors: the circuit breaker."""

from spanguard.error_handling.circuit_breaker import (
    BreakerSettings,
    BreakerStats,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerRegistry,
    CountWindow,
    FailureRate,
    SlowCall,
    TimeWindow,
    circuit_breakers,
    with_circuit_breaker,
)

__all__ = [
    "BreakerSettings",
    "BreakerStats",
    "CircuitBreaker",
    "CircuitBreakerError",
    "CircuitBreakerRegistry",
    "CountWindow",
    "FailureRate",
    "SlowCall",
    "TimeWindow",
    "circuit_breakers",
    "with_circuit_breaker",
]
