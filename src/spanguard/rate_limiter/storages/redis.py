"""Decisions at a Redis or Valkey server: one atomic round trip each, by the server's clock.

The storages are those of `limits`: one server, Sentinel, or a cluster. A state expires as soon as it says no more than
none at all. A server that has forgotten the script is given it again.
"""

from __future__ import annotations

from typing import Any, Final, cast

import limits.aio.storage
import limits.storage

from spanguard.errors import ConfigurationError, ResourceUnavailableError
from spanguard.rate_limiter.rules import Rule
from spanguard.rate_limiter.status import RateLimitStatus
from spanguard.rate_limiter.storages.wire import SCRIPT, Wire

_PROBE_MILLISECONDS: Final = 1000


class RedisDecider:
    """Decides on a `limits.storage.RedisStorage`, `RedisSentinelStorage` or `RedisClusterStorage`. Safe from threads.

    Args:
        storage: the storage; its `key_prefix` begins every key, so its `reset` empties this too.
        rules: what is kept to, together.
        namespace: what tells these keys from those of others under the same rules.
    """

    def __init__(self, storage: limits.storage.RedisStorage, rules: tuple[Rule, ...], namespace: str = "") -> None:
        self._wire = Wire(rules, storage.prefixed_key(f"spanguard{namespace and ':'}{namespace}"))
        self._connection = cast(Any, storage.get_connection())
        self._script = self._connection.register_script(SCRIPT)
        self.unavailable = storage.base_exceptions

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What is kept to, together."""
        return self._wire.rules

    @property
    def limit(self) -> int:
        """The most permits at once."""
        return self._wire.limit

    def decide(self, key: str, tokens: int = 1) -> RateLimitStatus:
        """Take the permits if they are there, in one atomic step.

        Raises:
            ResourceUnavailableError: the server does not answer, or cannot decide.
        """
        return self._ask(key, tokens, take=True)

    def peek(self, key: str, tokens: int = 1) -> RateLimitStatus:
        """Say what `decide` would, and take nothing; raises as it does."""
        return self._ask(key, tokens, take=False)

    def reset(self, key: str) -> None:
        """Forget what was taken; raises as `decide` does."""
        try:
            self._connection.delete(*self._wire.keys(key))
        except self.unavailable as error:
            raise unavailable(error) from error

    def probe(self, key: str) -> None:
        """Write something that nobody reads where the key's states are; raises as `decide` does."""
        try:
            self._connection.set(f"{self._wire.tag(key)}:probe", 1, px=_PROBE_MILLISECONDS)
        except self.unavailable as error:
            raise unavailable(error) from error

    def _ask(self, key: str, tokens: int, *, take: bool) -> RateLimitStatus:
        try:
            answer = self._script(keys=self._wire.keys(key), args=[self._wire.arguments(tokens, take=take)])
        except self.unavailable as error:
            raise unavailable(error) from error
        return self._wire.status(answer, tokens, take=take)


class AsyncRedisDecider:
    """Decides on the storages of the same names in `limits.aio.storage`, through redis-py or valkey-py.

    Args:
        storage: the storage; as for `RedisDecider`.
        rules: what is kept to, together.
        namespace: as for `RedisDecider`.

    Raises:
        ConfigurationError: the storage goes through coredis.
    """

    def __init__(self, storage: limits.aio.storage.RedisStorage, rules: tuple[Rule, ...], namespace: str = "") -> None:
        bridge: Any = storage.bridge
        if not hasattr(bridge, "get_connection") or type(bridge).__name__ == "CoredisBridge":
            raise ConfigurationError(
                "rate limiter: an async storage that goes through coredis cannot run the script; make it with "
                "implementation='redispy'"
            )
        self._wire = Wire(rules, bridge.prefixed_key(f"spanguard{namespace and ':'}{namespace}"))
        self._connection = bridge.get_connection()
        self._script = self._connection.register_script(SCRIPT)
        self.unavailable = storage.base_exceptions

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What is kept to, together."""
        return self._wire.rules

    @property
    def limit(self) -> int:
        """The most permits at once."""
        return self._wire.limit

    async def decide(self, key: str, tokens: int = 1) -> RateLimitStatus:
        """Take the permits if they are there, in one atomic step.

        Raises:
            ResourceUnavailableError: the server does not answer, or cannot decide.
        """
        return await self._ask(key, tokens, take=True)

    async def peek(self, key: str, tokens: int = 1) -> RateLimitStatus:
        """Say what `decide` would, and take nothing; raises as it does."""
        return await self._ask(key, tokens, take=False)

    async def reset(self, key: str) -> None:
        """Forget what was taken; raises as `decide` does."""
        try:
            await self._connection.delete(*self._wire.keys(key))
        except self.unavailable as error:
            raise unavailable(error) from error

    async def probe(self, key: str) -> None:
        """Write something that nobody reads where the key's states are; raises as `decide` does."""
        try:
            await self._connection.set(f"{self._wire.tag(key)}:probe", 1, px=_PROBE_MILLISECONDS)
        except self.unavailable as error:
            raise unavailable(error) from error

    async def aclose(self) -> None:
        """Close the connections that the running event loop opened; they open again when they are needed."""
        await self._connection.aclose()

    async def _ask(self, key: str, tokens: int, *, take: bool) -> RateLimitStatus:
        try:
            answer = await self._script(keys=self._wire.keys(key), args=[self._wire.arguments(tokens, take=take)])
        except self.unavailable as error:
            raise unavailable(error) from error
        return self._wire.status(answer, tokens, take=take)


def unavailable(error: BaseException) -> ResourceUnavailableError:
    """Return the error of a server that cannot decide. Its address and what it said may hold secrets: neither is told."""
    return ResourceUnavailableError(
        f"the rate limiter's server did not decide ({type(error).__name__}); see that it runs and answers in time, or "
        "give the limiter a fallback_share to go on with meanwhile"
    )
