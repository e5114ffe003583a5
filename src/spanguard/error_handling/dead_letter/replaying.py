"""One replay: the handler runs under a lease that is kept alive, inside a span, and its outcome is settled."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from opentelemetry import trace

from spanguard.clock import Clock
from spanguard.error_handling.dead_letter.letter import DeadLetter, LetterState, ReplayOutcome
from spanguard.error_handling.dead_letter.settings import DeadLetterSettings
from spanguard.error_handling.dead_letter.signals import COMPONENT, mark_failed, say_replayed, start_replay_span
from spanguard.telemetry import error_type
from spanguard.telemetry.internal import note_failure, safely

if TYPE_CHECKING:  # it imports SQLAlchemy, which is for who has a queue
    from spanguard.error_handling.dead_letter.store import Store

Handler = Callable[[DeadLetter], object]
AsyncHandler = Callable[[DeadLetter], Awaitable[object]]

_RENEWALS_PER_LEASE = 3


def is_async(handler: Handler) -> bool:
    """Tell whether the handler is to be awaited."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)


@dataclass(frozen=True, slots=True)
class Replay:
    """The replay of one claimed letter, by whoever holds `token`."""

    letter: DeadLetter
    token: str
    store: Store
    settings: DeadLetterSettings
    clock: Clock

    def run(self, handler: Handler) -> ReplayOutcome:
        """Run a plain handler, for `handler_timeout` at most; what runs for longer goes on in its thread, under its lease."""
        if self.settings.handler_timeout is None:
            return self._run_here(handler)
        ended: list[ReplayOutcome | BaseException] = []

        def work() -> None:
            try:
                ended.append(self._run_here(handler))
            except BaseException as error:  # noqa: BLE001 - it is raised again where somebody waits for it
                note_failure(COMPONENT, error)
                ended.append(error)

        # A daemon: a handler that hangs does not keep the process from its end. The lease lapses then.
        thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True)
        thread.start()
        thread.join(self.settings.handler_timeout)
        if not ended:
            return ReplayOutcome.RUNNING
        if isinstance(ended[0], BaseException):
            raise ended[0]
        return ended[0]

    async def run_async(self, handler: AsyncHandler) -> ReplayOutcome:
        """Await a handler, for `handler_timeout` at most; then it is cancelled, which is a failure."""
        span = start_replay_span(self.letter)
        with self._lease(), _current(span):
            try:
                async with asyncio.timeout(self.settings.handler_timeout):
                    await handler(self.letter)
            except Exception as error:  # noqa: BLE001 - the handler is the user's: its failure is an outcome
                return await asyncio.to_thread(self._failed, error, span)
            return await asyncio.to_thread(self._succeeded)

    def _run_here(self, handler: Handler) -> ReplayOutcome:
        span = start_replay_span(self.letter)
        with self._lease(), _current(span):
            try:
                _refuse_awaitable(handler(self.letter))
            except Exception as error:  # noqa: BLE001 - the handler is the user's: its failure is an outcome
                return self._failed(error, span)
            return self._succeeded()

    def _succeeded(self) -> ReplayOutcome:
        if not self.store.remove(self.letter.id, self.token):
            return ReplayOutcome.LOST
        say_replayed(self.letter, "replayed")
        return ReplayOutcome.REPLAYED

    def _failed(self, error: Exception, span: trace.Span) -> ReplayOutcome:
        kind, replays = error_type(error), self.letter.replays
        mark_failed(span, kind)
        is_last = replays >= self.settings.max_replays
        held = self.store.fail(
            self.letter.id,
            self.token,
            error_type=kind,
            available_at=self.clock.time() + self.settings.backoff(replays),
            state=LetterState.DISCARDED if is_last else LetterState.WAITING,
        )
        if not held:
            return ReplayOutcome.LOST
        say_replayed(self.letter, "discarded" if is_last else "replay_failed", kind)
        return ReplayOutcome.DISCARDED if is_last else ReplayOutcome.FAILED

    def _lease(self) -> _KeptLease:
        def renew() -> bool:
            return self.store.renew(self.letter.id, self.token, self.clock.time() + self.settings.lease)

        return _KeptLease(renew, self.settings.lease / _RENEWALS_PER_LEASE)


class _KeptLease:
    """Renews a lease until the block ends, so that it lapses only if this process dies."""

    def __init__(self, renew: Callable[[], bool], interval: float) -> None:
        self._renew = renew
        self._interval = interval
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._keep, name="spanguard-dead-letter-lease", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def _keep(self) -> None:
        # Real time, not the injected clock: the lease says to other processes that this one is alive.
        is_held = True
        while is_held and not self._ended.wait(self._interval):
            with safely(COMPONENT):
                is_held = self._renew()


def _current(span: trace.Span) -> AbstractContextManager[trace.Span]:
    return trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False)


def _refuse_awaitable(result: object) -> None:
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError("the handler returned an awaitable that nobody awaits; register an async def function")
