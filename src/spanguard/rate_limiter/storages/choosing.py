"""Which decider decides on which storage of `limits`, and which storages are refused."""

from __future__ import annotations

import limits.aio.storage
import limits.storage

from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.errors import ConfigurationError
from spanguard.rate_limiter.deciding import AsyncDecider, Decider
from spanguard.rate_limiter.rules import Rule
from spanguard.rate_limiter.storages.memory import AsyncMemoryDecider, MemoryDecider, shelf_of
from spanguard.rate_limiter.storages.redis import AsyncRedisDecider, RedisDecider


def decider_on(
    storage: object, rules: tuple[Rule, ...], *, namespace: str = "", clock: Clock = SYSTEM_CLOCK
) -> Decider:
    """Return what decides on a storage of `limits`. Those on one storage share what was taken under the same rules.

    Raises:
        ConfigurationError: the storage cannot decide exactly in one atomic step, or is an async one.
    """
    if isinstance(storage, limits.storage.MemoryStorage):
        return MemoryDecider(rules, shelf_of(storage), clock=clock)
    if isinstance(storage, limits.storage.RedisStorage):
        return RedisDecider(storage, rules, namespace)
    raise ConfigurationError(_refusal(storage, "memory://", "redis://"))


def async_decider_on(
    storage: object, rules: tuple[Rule, ...], *, namespace: str = "", clock: Clock = SYSTEM_CLOCK
) -> AsyncDecider:
    """Return what decides on an async storage of `limits`; as `decider_on`."""
    if isinstance(storage, limits.aio.storage.MemoryStorage):
        return AsyncMemoryDecider(MemoryDecider(rules, shelf_of(storage), clock=clock))
    if isinstance(storage, limits.aio.storage.RedisStorage):
        return AsyncRedisDecider(storage, rules, namespace)
    raise ConfigurationError(_refusal(storage, "async+memory://", "async+redis://"))


def _refusal(storage: object, *schemes: str) -> str:
    if isinstance(storage, limits.aio.storage.Storage) and schemes[0] == "memory://":
        return f"rate limiter: a {type(storage).__name__} of limits.aio is none for threads: it is awaited; use the Async strategy of the same name"
    if isinstance(storage, limits.storage.Storage) and schemes[0] != "memory://":
        return f"rate limiter: a {type(storage).__name__} of limits.storage would block the event loop; use one of limits.aio, as storage_from_string('{schemes[0]}') gives"
    return (
        f"rate limiter: a {type(storage).__name__} cannot decide exactly in one atomic step; use a storage for "
        f"{' or '.join(schemes)}, or one of limits' own strategies on this one"
    )
