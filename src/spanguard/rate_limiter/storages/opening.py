"""From the URL of a shared storage to what decides there, with a patience that bounds how long a decision can take."""

from __future__ import annotations

import importlib
import math
from typing import Any, Final, cast

import limits.aio.storage
import limits.errors
import limits.storage
from limits.storage import storage_from_string

from spanguard.errors import ConfigurationError
from spanguard.fork_gate import IMPORTS
from spanguard.rate_limiter.status import RateLimitStatus
from spanguard.rate_limiter.storages.memory import Rules
from spanguard.rate_limiter.storages.redis import AsyncRedisDecider, RedisDecider, unavailable

DEFAULT_TIMEOUT: Final = 0.05
"""Seconds that a decision waits for a server, so that a local share takes over within 100 ms."""

SCHEMES: Final = tuple(
    f"{server}{form}" for server in ("redis", "valkey") for form in ("", "s", "+unix", "+sentinel", "+cluster")
)


def decider_at(url: str, rules: Rules, *, name: str, timeout: float = DEFAULT_TIMEOUT) -> LateDecider:
    """Return what decides at a server, for threads. Nobody is asked yet: see its `probe`.

    Args:
        url: as `limits` writes it: "redis://host:6379", "redis+sentinel://...", "redis+cluster://...".
        rules: what is kept to, together.
        name: the limiter's name: limiters of one name share their keys at the server.
        timeout: seconds to wait for the server, for each of connecting and answering; what the URL itself says wins.

    Raises:
        ConfigurationError: the URL does not parse, its library is missing, or the timeout is out of range.
    """
    options = _options(url, name, timeout, asynchronous=False)
    if not url.partition("://")[0].endswith("+cluster"):
        # All but a cluster open without asking anybody, so what is wrong with the URL shows now.
        _opened(url, name, options)
    return LateDecider(url, rules, name, options)


def async_decider_at(url: str, rules: Rules, *, name: str, timeout: float = DEFAULT_TIMEOUT) -> AsyncRedisDecider:
    """Return what decides at a server, for the one event loop that it is first used in; as `decider_at`."""
    options = _options(url, name, timeout, asynchronous=True)
    storage = _opened(f"async+{url}", name, options)
    return AsyncRedisDecider(cast(limits.aio.storage.RedisStorage, storage), rules, name)


class LateDecider:
    """A `RedisDecider` on a storage that is opened when it is asked for: opening a cluster asks its servers."""

    def __init__(self, url: str, rules: Rules, name: str, options: dict[str, Any]) -> None:
        self.rules = rules
        self.limit = min(rule.limit for rule in rules)
        self._url = url
        self._name = name
        self._options = options
        self._decider: RedisDecider | None = None

    def decide(self, key: str, tokens: int = 1) -> RateLimitStatus:
        """Take the permits if they are there; raises as `RedisDecider` does."""
        return (self._decider or self._opened()).decide(key, tokens)

    def peek(self, key: str, tokens: int = 1) -> RateLimitStatus:
        """Say what `decide` would, and take nothing; raises as it does."""
        return (self._decider or self._opened()).peek(key, tokens)

    def reset(self, key: str) -> None:
        """Forget what was taken; raises as `decide` does."""
        (self._decider or self._opened()).reset(key)

    def probe(self, key: str) -> None:
        """Find out whether the server answers; raises as `decide` does."""
        (self._decider or self._opened()).probe(key)

    def _opened(self) -> RedisDecider:
        # Threads that come at once may each open one; they decide on the same keys, and the last one stays.
        storage = _opened(self._url, self._name, self._options)
        self._decider = RedisDecider(cast(limits.storage.RedisStorage, storage), self.rules, self._name)
        return self._decider


def _opened(url: str, name: str, options: dict[str, Any]) -> object:
    scheme = url.removeprefix("async+").partition("://")[0]
    try:
        with IMPORTS:
            return storage_from_string(url, **options)
    except (limits.errors.ConfigurationError, ValueError):
        # What the library says of it may quote the URL, and that may hold a password.
        raise ConfigurationError(
            f"limiter {name!r}: the storage's {scheme}:// URL cannot be used; it must be such as redis://host:6379/0, "
            "redis+sentinel://host:26379/service or redis+cluster://host:7000,host:7001"
        ) from None
    except Exception as error:
        # A cluster is asked for its nodes while it is opened.
        raise unavailable(error) from error


def _options(url: str, name: str, timeout: float, *, asynchronous: bool) -> dict[str, Any]:
    if timeout.__class__ not in (int, float) or not (math.isfinite(timeout) and timeout > 0):
        raise ConfigurationError(
            f"limiter {name!r}: timeout is {timeout!r}; it must be seconds, more than 0 and finite"
        )
    scheme = url.partition("://")[0]
    if scheme not in SCHEMES:
        raise ConfigurationError(
            f"limiter {name!r}: the storage's URL begins with {scheme[:20]!r}; it must be one of "
            f"{', '.join(f'{known}://' for known in SCHEMES)}"
        )
    library = "valkey" if scheme.startswith("valkey") else "redis"
    try:
        retry: Any = importlib.import_module(f"{library}.asyncio.retry" if asynchronous else f"{library}.retry")
        backoff: Any = importlib.import_module(f"{library}.backoff")
        errors: Any = importlib.import_module(f"{library}.exceptions")
    except ImportError as error:
        raise ConfigurationError(
            f"limiter {name!r}: a {scheme}:// storage needs the library {library}, which is not installed; "
            f"install {'spanguard[redis]' if library == 'redis' else library}"
        ) from error
    # One more try at once for a connection that the server closed while it was idle, none for a server that is slow. A
    # cluster's client tells the two apart by itself.
    tries = 0 if scheme.endswith("+cluster") else 1
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": retry.Retry(backoff.NoBackoff(), tries, supported_errors=(errors.ConnectionError,)),
    }
    if scheme.endswith("+sentinel"):
        options["sentinel_kwargs"] = dict(options)
    if asynchronous:
        options["implementation"] = "valkey" if library == "valkey" else "redispy"
    return options
