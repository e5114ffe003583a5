"""The state of a circuit breaker, shared by processes through Redis or Valkey."""

from spanguard.error_handling.circuit_breaker.shared.redis_storage import RedisBreakerStorage

__all__ = ["RedisBreakerStorage"]
