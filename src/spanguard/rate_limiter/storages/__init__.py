"""Where decisions are made: in this process's memory, or at a server that several processes share."""

from spanguard.rate_limiter.storages.choosing import async_decider_on, decider_on
from spanguard.rate_limiter.storages.fallback import Fallback
from spanguard.rate_limiter.storages.memory import AsyncMemoryDecider, MemoryDecider
from spanguard.rate_limiter.storages.opening import DEFAULT_TIMEOUT, async_decider_at, decider_at

__all__ = [
    "DEFAULT_TIMEOUT",
    "AsyncMemoryDecider",
    "Fallback",
    "MemoryDecider",
    "async_decider_at",
    "async_decider_on",
    "decider_at",
    "decider_on",
]
