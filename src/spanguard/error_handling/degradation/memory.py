"""The answers that `LastGood` keeps."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from spanguard.clock import Clock
from spanguard.error_handling.degradation.sources import LastGood
from spanguard.telemetry.internal import safely

COMPONENT: Final = "degradation.key"


@dataclass(frozen=True, slots=True)
class Kept:
    """An earlier answer.

    Attributes:
        value: the answer.
        age: how many seconds ago it was given.
    """

    value: Any
    age: float


class Memory:
    """The latest answers, bounded in number and age. Their keys leave it in no signal and no text."""

    def __init__(self, settings: LastGood, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._answers: OrderedDict[Hashable, tuple[Any, float]] = OrderedDict()
        # Re-entrant: what is dropped inside the lock may be collected there, and its finalizer may make a guarded call.
        self._lock = threading.RLock()
        _memories.add(self)

    def __len__(self) -> int:
        return len(self._answers)

    def keep(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], value: Any) -> None:
        """Keep an answer in place of the one that there was for the same call."""
        key = self._key(function, args, kwargs)
        if key is None:
            return
        now = self._clock.monotonic()
        with self._lock:
            self._answers[key] = value, now
            self._answers.move_to_end(key)
            while len(self._answers) > self._settings.max_entries:
                self._answers.popitem(last=False)

    def recall(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Kept | None:
        """Return the last answer to the same call, if there is one and it is not too old."""
        key = self._key(function, args, kwargs)
        if key is None:
            return None
        now = self._clock.monotonic()
        with self._lock:
            kept = self._answers.get(key)
            if kept is None:
                return None
            value, given = kept
            if now - given > self._settings.max_age:
                del self._answers[key]
                return None
            self._answers.move_to_end(key)
        return Kept(value, now - given)

    def _key(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Hashable | None:
        if self._settings.key is None:
            # As in `functools.lru_cache(typed=True)`: 1, 1.0 and True are equal, but not the same question.
            types = (*map(type, args), *(type(kwargs[name]) for name in sorted(kwargs)))
            key: Hashable = function, args, tuple(sorted(kwargs.items(), key=_name)), types
        else:
            key = None
            with safely(COMPONENT):
                key = function, self._settings.key(*args, **kwargs)
        try:
            hash(key)
        except TypeError:
            return None
        return key

    def start_again_in_child(self) -> None:
        """Drop a lock that another thread of the parent may have held; the answers are as good as they were."""
        self._lock = threading.RLock()


def _name(item: tuple[str, Any]) -> str:
    return item[0]


_memories: weakref.WeakSet[Memory] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for memory in list(_memories):
        memory.start_again_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
