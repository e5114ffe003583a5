"""Where decisions are made: in this process's memory, or at a server that several processes share."""

from spanguard.rate_limiter.storages.choosing import async_decider_on, decider_on
from spanguard.rate_limiter.storages.memory import AsyncMemoryDecider, MemoryDecider

__all__ = ["AsyncMemoryDecider", "MemoryDecider", "async_decider_on", "decider_on"]
