"""The circuit breaker."""

from spanguard.error_handling.circuit_breaker.breaker import CircuitBreaker
from spanguard.error_handling.circuit_breaker.errors import CircuitBreakerError
from spanguard.error_handling.circuit_breaker.registry import (
    CircuitBreakerRegistry,
    circuit_breakers,
    with_circuit_breaker,
)
from spanguard.error_handling.circuit_breaker.settings import (
    BreakerSettings,
    CountWindow,
    FailureRate,
    SlowCall,
    TimeWindow,
)
from spanguard.error_handling.circuit_breaker.shared import RedisBreakerStorage
from spanguard.error_handling.circuit_breaker.stats import BreakerStats

__all__ = [
    "BreakerSettings",
    "BreakerStats",
    "CircuitBreaker",
    "CircuitBreakerError",
    "CircuitBreakerRegistry",
    "CountWindow",
    "FailureRate",
    "RedisBreakerStorage",
    "SlowCall",
    "TimeWindow",
    "circuit_breakers",
    "with_circuit_breaker",
]
