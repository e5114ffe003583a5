"""Decisions in this process's memory."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import MutableMapping
from typing import Any, Final, Protocol

from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.rate_limiter.deciding import Engine
from spanguard.rate_limiter.engines import engine_for
from spanguard.rate_limiter.rules import Rule
from spanguard.rate_limiter.status import RateLimitStatus

_MANY_LIMITS: Final = 1000
_MARK: Final = "spanguard.rate_limiter"

Rules = tuple[Rule, ...]


class Shelf:
    """The engines that one storage's deciders share, by their rules. Who calls holds the lock.

    Attributes:
        lock: guards all of it.
        edition: changes whenever an engine that somebody may hold was taken off.
    """

    def __init__(self, counter: MutableMapping[str, Any]) -> None:
        self.lock = threading.Lock()
        self.edition = 0
        # `limits` keeps all in this one counter, and its storage's `reset` empties it: the mark's absence tells.
        self._counter = counter
        self._engines: dict[Rules, Engine] = {}
        _shelves.add(self)

    def __len__(self) -> int:
        return len(self._engines)

    def refresh(self) -> int:
        """Begin anew if the storage was reset; return the edition."""
        if _MARK not in self._counter:
            self._counter[_MARK] = 1
            self._engines.clear()
            self.edition += 1
        return self.edition

    def engine(self, rules: Rules, seconds: float) -> Engine:
        """Return the engine of the rules."""
        found = self._engines.get(rules)
        if found is None:
            if len(self._engines) >= _MANY_LIMITS:
                self._drop_idle(seconds)
            found = self._engines[rules] = engine_for(rules)
        return found

    def _drop_idle(self, seconds: float) -> None:
        self.edition += 1
        for rules, engine in list(self._engines.items()):
            engine.drop_idle(engine.moment(seconds))
            if not engine:
                del self._engines[rules]


class MemoryDecider:
    """Decides by an engine off a shelf. Safe from threads; never blocks but for the lock.

    Args:
        rules: what is kept to, together.
        shelf: where the engines are; one of its own, if left out.
        clock: where time comes from.
    """

    __slots__ = ("_clock", "_edition", "_engine", "_shelf", "limit", "rules")

    def __init__(self, rules: Rules, shelf: Shelf | None = None, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.rules = rules
        self.limit = min(rule.limit for rule in rules)
        self._shelf = Shelf({}) if shelf is None else shelf
        self._clock = clock
        with self._shelf.lock:
            self._edition = self._shelf.refresh()
            self._engine = self._shelf.engine(rules, clock.monotonic())

    def decide(self, key: str, tokens: int = 1) -> RateLimitStatus:
        """Take the permits if they are there, in one atomic step."""
        with self._shelf.lock:
            engine = self._current()
            return engine.take(key, tokens, engine.moment(self._clock.monotonic()))

    def peek(self, key: str, tokens: int = 1) -> RateLimitStatus:
        """Say what `decide` would, and take nothing."""
        with self._shelf.lock:
            engine = self._current()
            return engine.peek(key, tokens, engine.moment(self._clock.monotonic()))

    def reset(self, key: str) -> None:
        """Forget what was taken."""
        with self._shelf.lock:
            self._current().clear(key)

    def inherit(self, other: MemoryDecider) -> None:
        """Charge what is still owed at another decider, of another shelf, so that a change forgives nothing."""
        with other._shelf.lock, self._shelf.lock:
            engine = self._current()
            engine.inherit(other._current(), engine.moment(self._clock.monotonic()))

    def _current(self) -> Engine:
        edition = self._shelf.refresh()
        if edition != self._edition:
            self._engine = self._shelf.engine(self.rules, self._clock.monotonic())
            self._edition = self._shelf.edition
        return self._engine


class AsyncMemoryDecider:
    """A `MemoryDecider` to be awaited; it never suspends."""

    __slots__ = ("_decider",)

    def __init__(self, decider: MemoryDecider) -> None:
        self._decider = decider

    @property
    def rules(self) -> Rules:
        """What is kept to, together."""
        return self._decider.rules

    @property
    def limit(self) -> int:
        """The most permits at once."""
        return self._decider.limit

    async def decide(self, key: str, tokens: int = 1) -> RateLimitStatus:
        """Take the permits if they are there, in one atomic step."""
        return self._decider.decide(key, tokens)

    async def peek(self, key: str, tokens: int = 1) -> RateLimitStatus:
        """Say what `decide` would, and take nothing."""
        return self._decider.peek(key, tokens)

    async def reset(self, key: str) -> None:
        """Forget what was taken."""
        self._decider.reset(key)


class HasCounter(Protocol):
    """A memory storage of `limits`, sync or async."""

    storage: Any


_shelves: weakref.WeakSet[Shelf] = weakref.WeakSet()
_by_storage: weakref.WeakKeyDictionary[HasCounter, Shelf] = weakref.WeakKeyDictionary()
_by_storage_lock = threading.Lock()


def shelf_of(storage: HasCounter) -> Shelf:
    """Return the shelf of a memory storage; it goes with the storage."""
    with _by_storage_lock:
        found = _by_storage.get(storage)
        if found is None:
            found = _by_storage[storage] = Shelf(storage.storage)
        return found


def _restart_all() -> None:
    global _by_storage_lock  # noqa: PLW0603 - another thread of the parent may have held it
    _by_storage_lock = threading.Lock()
    for shelf in list(_shelves):
        shelf.lock = threading.Lock()


os.register_at_fork(after_in_child=_restart_all)
