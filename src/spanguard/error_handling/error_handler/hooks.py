"""Python's last resorts for errors that nobody caught: chained with what stood there before, and restorable."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

from spanguard.error_handling.error_handler.record import ErrorSource

Report = Callable[[BaseException, ErrorSource], None]

NO_ERRORS: Final = (KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError)
"""How a program or a task is ended on purpose."""


class Hooks:
    """The hooks of one handler.

    A hook that somebody else put theirs on top of cannot be taken out of the middle; it stays and only passes on.

    Args:
        report: takes each error and where it surfaced; it never raises.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._is_on = False
        self._put: list[tuple[Any, str, Any, Any]] = []
        self._loops: list[tuple[asyncio.AbstractEventLoop, Any, Any]] = []

    def put(self) -> None:
        """Put the hooks of the process in place."""
        self._is_on = True
        for owner, name, make in (
            (sys, "excepthook", self._main_hook),
            (threading, "excepthook", self._thread_hook),
            (sys, "unraisablehook", self._unraisable_hook),
        ):
            before = getattr(owner, name)
            ours = make(before)
            setattr(owner, name, ours)
            self._put.append((owner, name, ours, before))

    def put_on_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Put the handler of an event loop in place, once."""
        if any(known is loop for known, _, _ in self._loops):
            return
        before = loop.get_exception_handler()
        ours = self._loop_handler(before)
        loop.set_exception_handler(ours)
        self._loops.append((loop, ours, before))

    def take_away(self) -> None:
        """Put back what stood there before."""
        self._is_on = False
        for owner, name, ours, before in reversed(self._put):
            if getattr(owner, name) is ours:
                setattr(owner, name, before)
        for loop, ours, before in self._loops:
            if loop.get_exception_handler() is ours:
                loop.set_exception_handler(before)
        self._put.clear()
        self._loops.clear()

    def _tell(self, error: BaseException | None, source: ErrorSource) -> None:
        if self._is_on and error is not None and not isinstance(error, NO_ERRORS):
            self._report(error, source)

    def _main_hook(self, before: Callable[..., object]) -> Callable[..., None]:
        def hook(kind: type[BaseException], error: BaseException, stack: TracebackType | None) -> None:
            self._tell(error, ErrorSource.MAIN_THREAD)
            before(kind, error, stack)

        return hook

    def _thread_hook(self, before: Callable[..., object]) -> Callable[..., None]:
        def hook(arguments: threading.ExceptHookArgs) -> None:
            self._tell(arguments.exc_value, ErrorSource.THREAD)
            before(arguments)

        return hook

    def _unraisable_hook(self, before: Callable[..., object]) -> Callable[..., None]:
        def hook(unraisable: sys.UnraisableHookArgs) -> None:
            self._tell(unraisable.exc_value, ErrorSource.UNRAISABLE)
            before(unraisable)

        return hook

    def _loop_handler(self, before: Callable[..., object] | None) -> Callable[..., None]:
        def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            self._tell(context.get("exception"), ErrorSource.ASYNCIO)
            if before is None:
                loop.default_exception_handler(context)
            else:
                before(loop, context)

        return handle
