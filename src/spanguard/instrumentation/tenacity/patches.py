"""Listen where every retry of `tenacity` decides, and take the listeners away again without a trace.

`iter` is asked before and after each attempt, by the sync and the async controllers, by decorated functions, calls and
loops alike. A block that succeeds may be left by `return` or `break`, and `iter` is not asked again: its end is taken
from the block.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from threading import get_ident
from typing import Any, Final

import tenacity
from tenacity import DoSleep

from spanguard.instrumentation.tenacity.watch import Watch

_MARK: Final = "_spanguard_replaced"


class Patches:
    """The changed methods of tenacity's classes."""

    def __init__(self) -> None:
        self._watch = Watch()

    def apply(self) -> None:
        """Put the listeners in."""
        _replace(tenacity.BaseRetrying, "iter", _listening(self._watch, tenacity.BaseRetrying.iter))
        _replace(tenacity.AsyncRetrying, "iter", _listening_async(self._watch, tenacity.AsyncRetrying.iter))
        _replace(tenacity.AttemptManager, "__exit__", _exiting(self._watch, tenacity.AttemptManager.__exit__))

    def remove(self) -> None:
        """Give every class its own method back. One that somebody else has wrapped since falls silent instead."""
        self._watch.active = False
        for cls, name in (
            (tenacity.BaseRetrying, "iter"),
            (tenacity.AsyncRetrying, "iter"),
            (tenacity.AttemptManager, "__exit__"),
        ):
            current = cls.__dict__[name]
            if getattr(current, _MARK, (None, None))[0] is current:
                setattr(cls, name, getattr(current, _MARK)[1])


# The bodies of the two listeners are the price of every call: twice a look at the outcome, once a count.


def _listening(watch: Watch, original: Callable[..., Any]) -> Callable[..., Any]:
    cells = watch.cells

    @functools.wraps(original)
    def iter(self: Any, retry_state: Any) -> Any:  # noqa: A001 - the name is tenacity's
        if retry_state.outcome is None:
            if retry_state.attempt_number > 1:
                watch.attempt_begins(retry_state)
            return original(self, retry_state)
        try:
            do = original(self, retry_state)
        except BaseException as error:
            watch.raised(self, retry_state, error)
            raise
        if do.__class__ is DoSleep or retry_state.attempt_number > 1 or self.retry_error_callback is not None:
            watch.went_on(self, retry_state, do)
        elif retry_state.fn is not None:
            try:
                cells[get_ident(), retry_state.fn.__code__, self.__dict__.get("_name")].value += 1
            except Exception:  # noqa: BLE001 - whatever is new or unusual about this call
                watch.went_on(self, retry_state, do)
        return do

    return iter


def _listening_async(watch: Watch, original: Callable[..., Any]) -> Callable[..., Any]:
    cells = watch.cells

    @functools.wraps(original)
    async def iter(self: Any, retry_state: Any) -> Any:  # noqa: A001 - the name is tenacity's
        if retry_state.outcome is None:
            if retry_state.attempt_number > 1:
                watch.attempt_begins(retry_state)
            return await original(self, retry_state)
        try:
            do = await original(self, retry_state)
        except BaseException as error:
            watch.raised(self, retry_state, error)
            raise
        if do.__class__ is DoSleep or retry_state.attempt_number > 1 or self.retry_error_callback is not None:
            watch.went_on(self, retry_state, do)
        elif retry_state.fn is not None:
            try:
                cells[get_ident(), retry_state.fn.__code__, self.__dict__.get("_name")].value += 1
            except Exception:  # noqa: BLE001 - whatever is new or unusual about this call
                watch.went_on(self, retry_state, do)
        return do

    return iter


def _exiting(watch: Watch, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def exit(self: Any, exc_type: Any, exc_value: Any, traceback: Any) -> Any:  # noqa: A001 - as in tenacity
        swallowed = original(self, exc_type, exc_value, traceback)
        if exc_type is None:
            watch.block_ended(self.retry_state)
        return swallowed

    return exit


def _replace(cls: type, name: str, wrapper: Any) -> None:
    setattr(wrapper, _MARK, (wrapper, cls.__dict__[name]))
    setattr(cls, name, wrapper)
