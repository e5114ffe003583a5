"""Put a recorder behind the `hit` of every strategy class, and take it away again without a trace.

The classes are changed, not the objects, so existing objects are covered and none is left changed afterwards. A class
that is defined meanwhile is covered too, through the `__init_subclass__` of `limits`' base class.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import get_ident
from typing import Any, Final

from spanguard.instrumentation.limits.recorder import HitRecorder, Known, count_rejection
from spanguard.instrumentation.limits.signals import LimiterSignals
from spanguard.telemetry.internal import note_failure

_HIT: Final = "hit"
_HOOK: Final = "__init_subclass__"
_MARK: Final = "_spanguard_replacement"
_NOTHING: Final = object()

_Meet = Callable[[Any, tuple[Any, ...], dict[str, Any]], LimiterSignals | None]


@dataclass(frozen=True, slots=True)
class _Replacement:
    """What a wrapper says of itself. Who wraps it in turn copies this along, so it names the wrapper that it is about."""

    wrapper: Callable[..., Any]
    replaced: Any


class Patch:
    """The changed classes below one base class of strategies.

    Args:
        base: `limits.strategies.RateLimiter` or its async namesake.
        recorder: what counts.
        asynchronous: whether the strategies' methods are awaited.
    """

    def __init__(self, base: Any, recorder: HitRecorder, *, asynchronous: bool) -> None:
        self._base = base
        self._recorder = recorder
        self._asynchronous = asynchronous
        self._active = True
        self._known: list[Known] = []

    def apply(self) -> None:
        """Change every class that exists, and see to those to come."""
        for cls in _below(self._base):
            self._wrap(cls)
        base = self._base

        def announce(cls: type, /, **kwargs: Any) -> None:
            super(base, cls).__init_subclass__(**kwargs)  # type: ignore[misc]
            if self._active:
                self._wrap(cls)

        _replace(base, _HOOK, classmethod(announce))

    def remove(self) -> None:
        """Give every class its own method back. One that somebody else has wrapped since falls silent instead."""
        self._active = False
        for known in self._known:
            known.clear()
        _restore(self._base, _HOOK)
        for cls in _below(self._base):
            _restore(cls, _HIT)

    def _wrap(self, cls: type) -> None:
        definer = next(ancestor for ancestor in cls.__mro__ if _HIT in ancestor.__dict__)
        # A class that has its `hit` from another strategy needs none; one that has it from a mixin does.
        if (definer is cls or not issubclass(definer, self._base)) and inspect.isfunction(definer.__dict__[_HIT]):
            _replace(cls, _HIT, self._wrapper(cls, definer.__dict__[_HIT]))

    def _wrapper(self, cls: type, original: Callable[..., Any]) -> Callable[..., Any]:
        known: Known = {}
        self._known.append(known)

        def meet(strategy: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> LimiterSignals | None:
            if not self._active:
                return None
            try:
                item = args[0] if args else kwargs["item"]
                # A `hit` that a subclass calls through super() is part of that subclass's.
                marked = (c for c in strategy.__class__.__mro__ if hasattr(c.__dict__.get(_HIT), _MARK))
                return self._recorder.meet(known, strategy, item, counts=next(marked, cls) is cls)
            except Exception as error:  # noqa: BLE001 - telemetry never breaks the call
                note_failure("limits", error)
                return None

        make = _asynchronous_wrapper if self._asynchronous else _synchronous_wrapper
        return make(original, known, meet)


# The bodies of these two are the price of every hit: one look-up says what to count, if anything.


def _synchronous_wrapper(original: Callable[..., Any], known: Known, meet: _Meet) -> Callable[..., Any]:
    @functools.wraps(original)
    def hit(self: Any, *args: Any, **kwargs: Any) -> Any:
        allowed = original(self, *args, **kwargs)
        try:
            item = args[0]
            signals = known[get_ident(), self.__class__, item.__class__, item.amount, item.multiples]
        except Exception:  # noqa: BLE001 - whatever is new or unusual about this call
            signals = meet(self, args, kwargs)
        if signals is not None:
            if allowed:
                signals.acquired.value += 1
            else:
                count_rejection(signals, self, args, kwargs)
        return allowed

    return hit


def _asynchronous_wrapper(original: Callable[..., Any], known: Known, meet: _Meet) -> Callable[..., Any]:
    @functools.wraps(original)
    async def hit(self: Any, *args: Any, **kwargs: Any) -> Any:
        allowed = await original(self, *args, **kwargs)
        try:
            item = args[0]
            signals = known[get_ident(), self.__class__, item.__class__, item.amount, item.multiples]
        except Exception:  # noqa: BLE001 - whatever is new or unusual about this call
            signals = meet(self, args, kwargs)
        if signals is not None:
            if allowed:
                signals.acquired.value += 1
            else:
                count_rejection(signals, self, args, kwargs)
        return allowed

    return hit


def _below(base: Any) -> Iterator[type]:
    for cls in base.__subclasses__():
        yield cls
        yield from _below(cls)


def _replace(cls: type, name: str, wrapper: Any) -> None:
    setattr(wrapper, _MARK, _Replacement(wrapper, cls.__dict__.get(name, _NOTHING)))
    setattr(cls, name, wrapper)


def _restore(cls: type, name: str) -> None:
    current = cls.__dict__.get(name)
    mark = getattr(current, _MARK, None)
    if mark is None or mark.wrapper is not current:
        return
    if mark.replaced is _NOTHING:
        delattr(cls, name)
    else:
        setattr(cls, name, mark.replaced)
