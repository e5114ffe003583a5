"""From a storage to what decides on it: one decider for all threads, and one for each event loop."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence

import limits.aio.storage
import limits.storage

from spanguard.clock import Clock
from spanguard.errors import BlockingWaitError, ConfigurationError
from spanguard.rate_limiter.deciding import AsyncDecider, Decider
from spanguard.rate_limiter.rules import Rule
from spanguard.rate_limiter.storages import (
    AsyncMemoryDecider,
    Fallback,
    MemoryDecider,
    async_decider_at,
    async_decider_on,
    decider_at,
    decider_on,
)
from spanguard.rate_limiter.storages.opening import LateDecider
from spanguard.rate_limiter.storages.redis import AsyncRedisDecider

Storage = str | limits.storage.Storage | limits.aio.storage.Storage


def is_local(storage: Storage | None) -> bool:
    """Tell whether a limiter on this storage decides in this process and shares with no other limiter."""
    return storage is None or (isinstance(storage, str) and storage.removeprefix("async+").startswith("memory:"))


class Sources:
    """What decides under some rules on a storage.

    Args:
        storage: a URL of the `limits` library, for threads and event loops; a storage of `limits`, for threads; or one of
            `limits.aio`, for the event loop that it belongs to. The memory storage of `limits` serves both.
        name: the limiter's, which tells its keys from those of others.
        rules: what is kept to.
        timeout: seconds that a decision waits for the server at a URL.
        fallback_share: the part of the limit that this process goes on with if that server is lost; None to raise.
        clock: where time comes from, if the storage is in memory.

    Raises:
        ConfigurationError: the URL does not parse, the storage cannot decide exactly, or a number is out of range.
        ResourceUnavailableError: nobody answers at the URL, and there is no `fallback_share`.
    """

    def __init__(
        self,
        storage: Storage,
        name: str,
        rules: Sequence[Rule],
        *,
        timeout: float,
        fallback_share: float | None,
        clock: Clock,
    ) -> None:
        if fallback_share is not None and not isinstance(storage, str):
            raise ConfigurationError(
                f"limiter {name!r}: fallback_share needs the storage's URL, not a {type(storage).__name__}: only then is "
                "the time that a decision may take bounded"
            )
        self._storage = storage.removeprefix("async+") if isinstance(storage, str) else storage
        self._name = name
        self._timeout = timeout
        self._share = fallback_share
        self._clock = clock
        self._opened: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncRedisDecider] = (
            weakref.WeakKeyDictionary()
        )
        self._fallback: Fallback | None = None
        self._decide_by(rules)
        if self._share is None and isinstance(self._of_threads, LateDecider):
            self._of_threads.probe("")

    def change(self, rules: Sequence[Rule]) -> None:
        """Decide by other rules from now on; the server turns what it knows of a key into them.

        Raises:
            ConfigurationError: the storage is in memory, where other rules begin with nothing.
        """
        if isinstance(self._of_threads, MemoryDecider):
            raise ConfigurationError(
                f"limiter {self._name!r}: on a memory storage that is shared a change would forgive what was used; make "
                "the limiter without a storage"
            )
        self._decide_by(rules)

    def for_threads(self) -> Decider:
        """Return what decides for a thread, which it may block.

        Raises:
            ConfigurationError: the storage is one of `limits.aio`.
            BlockingWaitError: this thread runs an event loop, which the decision would block.
        """
        if self._of_threads is None:
            raise ConfigurationError(
                f"limiter {self._name!r}: its storage is one of limits.aio, which is awaited; use the methods that end in "
                "_async, or give the limiter the storage's URL, which serves threads and event loops"
            )
        if self._of_tasks is None and asyncio._get_running_loop() is not None:  # noqa: SLF001 - the public getter raises, at a microsecond each
            raise BlockingWaitError(
                f"limiter {self._name!r}: its storage would block the event loop of this thread; use the methods that end "
                "in _async"
            )
        return self._of_threads

    def for_tasks(self) -> AsyncDecider:
        """Return what decides for a task of this thread's event loop.

        Raises:
            ConfigurationError: the storage is one for threads, and would block the loop.
        """
        if self._of_tasks is not None:
            return self._of_tasks
        if not isinstance(self._storage, str):
            raise ConfigurationError(
                f"limiter {self._name!r}: its storage would block the event loop; give the limiter a storage of "
                "limits.aio, or the storage's URL, which serves threads and event loops"
            )
        # Connections belong to the loop that opened them.
        loop = asyncio.get_running_loop()
        found = self._by_loop.get(loop)
        if found is None:
            opened = async_decider_at(self._storage, self._rules, name=self._name, timeout=self._timeout)
            found = opened if self._fallback is None else self._fallback.around_async(opened, self._timeout)
            self._by_loop[loop] = found
            self._opened[loop] = opened
        return found

    async def aclose(self) -> None:
        """Close the connections that this limiter opened for the running event loop."""
        loop = asyncio.get_running_loop()
        self._by_loop.pop(loop, None)
        opened = self._opened.pop(loop, None)
        if opened is not None:
            await opened.aclose()

    def _decide_by(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._of_tasks: AsyncDecider | None = None
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncDecider] = weakref.WeakKeyDictionary()
        self._of_threads = self._at_server(self._storage) if isinstance(self._storage, str) else self._on(self._storage)

    def _at_server(self, url: str) -> Decider:
        decider = decider_at(url, self._rules, name=self._name, timeout=self._timeout)
        if self._share is None:
            return decider
        self._fallback = Fallback(self._name, self._rules, self._share, clock=self._clock, former=self._fallback)
        return self._fallback.around(decider)

    def _on(self, storage: object) -> Decider | None:
        if isinstance(storage, limits.aio.storage.Storage):
            self._of_tasks = async_decider_on(storage, self._rules, namespace=self._name, clock=self._clock)
            return None
        decider = decider_on(storage, self._rules, namespace=self._name, clock=self._clock)
        if isinstance(decider, MemoryDecider):
            self._of_tasks = AsyncMemoryDecider(decider)
        return decider
