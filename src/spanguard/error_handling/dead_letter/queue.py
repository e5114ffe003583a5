"""The dead-letter queue: what failed for good is kept, seen, and tried again."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from opentelemetry import trace

from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.error_handling.dead_letter.claims import Claims
from spanguard.error_handling.dead_letter.letter import DeadLetter, LetterState, ReplayOutcome, ReplayReport
from spanguard.error_handling.dead_letter.payload import dump
from spanguard.error_handling.dead_letter.replaying import is_async
from spanguard.error_handling.dead_letter.settings import DeadLetterSettings, name_problems, whole_problems
from spanguard.error_handling.dead_letter.signals import COMPONENT, Gauges, count, say_stored, stored_cell
from spanguard.errors import ConfigurationError
from spanguard.telemetry import error_type
from spanguard.telemetry.internal import safely
from spanguard.telemetry.redaction import Redactor

H = TypeVar("H", bound=Callable[[DeadLetter], object])

DAY: Final = 86_400.0
RETENTION_INTERVAL: Final = 60.0
"""Seconds between two looks at what is too old or too much; between two of them a tenth of `max_letters` may come on top."""


class DeadLetterQueue:
    """Keeps operations that failed for good in a database, and replays them through registered handlers.

    Safe from threads and from several processes on one database. Every method blocks for the database; in a coroutine
    use the one of the same name with `_async`, which runs in a thread. Delivery is at least once: a process that dies
    between the end of a handler and the note of it leaves the letter for another replay, so a handler must bear that.

    Args:
        url: `sqlite:///file.db` (WAL, synchronous FULL) or `postgresql://user@host/database` (extra `postgres`). The
            database is opened, and its tables made, at the first use.
        name: the queue's name; several queues may share a database.
        max_payload_bytes: bytes of a payload as JSON. 256 KiB is the largest message of Azure Service Bus' standard tier.
        max_replays: replays after which a letter that fails again is discarded.
        replay_backoff: seconds until the second replay, doubled for each further one.
        max_replay_backoff: the longest such wait, in seconds.
        lease: seconds for which a letter of a replayer that died stays with it. A living replayer renews its leases;
            the clocks of all machines must agree better than this.
        handler_timeout: seconds for a handler. An async one is then cancelled, which is a failure; a thread cannot be
            stopped, so a plain one goes on, keeps its lease, and `replay` goes on to the next letter. None: no bound.
        max_age: seconds after which a letter is deleted, waiting or not. None: never. The default is 30 days.
        max_letters: how many letters are kept, waiting or not; beyond it the oldest are deleted. None: all.
        redact: further words that make a key a secret, besides password, token, cookie and the like.
        keep_error_messages: keep the error's text as well, redacted and cut to 500 characters. Off, since an error's
            text often holds what the user typed.
        clock: the time.

    Raises:
        ConfigurationError: a setting is out of range, or the URL is of no database that can be used.
    """

    def __init__(
        self,
        url: str = "sqlite:///dead_letters.db",
        name: str = "default",
        *,
        max_payload_bytes: int = 262_144,
        max_replays: int = 5,
        replay_backoff: float = 60.0,
        max_replay_backoff: float = 3600.0,
        lease: float = 60.0,
        handler_timeout: float | None = None,
        max_age: float | None = 30 * DAY,
        max_letters: int | None = 100_000,
        redact: Iterable[str] = (),
        keep_error_messages: bool = False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._settings = DeadLetterSettings(
            max_payload_bytes=max_payload_bytes,
            max_replays=max_replays,
            replay_backoff=replay_backoff,
            max_replay_backoff=max_replay_backoff,
            lease=lease,
            handler_timeout=handler_timeout,
            max_age=max_age,
            max_letters=max_letters,
            redact=tuple(redact),
            keep_error_messages=keep_error_messages,
        )
        self._settings.check(name)
        from spanguard.error_handling.dead_letter.store import Store  # noqa: PLC0415 - SQLAlchemy only for who needs it

        self.name = name
        self._clock = clock
        self._redactor = Redactor(self._settings.redact)
        self._store = Store(url, name)
        self._claims = Claims(name, self._store, self._settings, clock)
        self._gauges = Gauges(name, self._store.seen_waiting, clock)
        self._lock = threading.Lock()
        self._handlers: dict[str, Callable[[DeadLetter], object]] = {}
        self._stored = stored_cell(self, name)
        self._added_since_retention = 0
        self._retention_at = clock.monotonic()
        _queues.add(self)

    def __repr__(self) -> str:
        return f"DeadLetterQueue({self._store.shown_url!r}, {self.name!r})"

    def add(self, operation: str, payload: Any, *, error: BaseException | None = None, attempts: int = 1) -> int:
        """Keep an operation that failed for good; once this returns, the letter outlives a crash and a power cut.

        Args:
            operation: the name its handler is registered under.
            payload: what the handler needs, of JSON's types; the values of secret-looking keys are left out.
            error: what it failed with; its class is kept.
            attempts: how often it was tried.

        Returns:
            The letter's id.

        Raises:
            ConfigurationError: the operation's name or `attempts` is out of range.
            DeadLetterPayloadError: the payload is not JSON or too large.
            ResourceUnavailableError: the database cannot be reached or written; nothing was stored.
            DeadLetterDatabaseError: the database is not one of ours.
        """
        problems = [*name_problems("operation", operation), *whole_problems("attempts", attempts)]
        if problems:
            raise ConfigurationError([f"dead-letter queue {self.name!r}: {problem}" for problem in problems])
        kind = None if error is None else error_type(error)
        span, now = trace.get_current_span().get_span_context(), self._clock.time()
        letter_id = self._store.add(
            {
                "queue": self.name,
                "operation": operation,
                "payload": dump(payload, self._redactor, max_bytes=self._settings.max_payload_bytes),
                "error_type": kind,
                "error_message": self._message_of(error),
                "attempts": attempts,
                "trace_id": f"{span.trace_id:032x}" if span.is_valid else "",
                "span_id": f"{span.span_id:016x}" if span.is_valid else "",
                "state": LetterState.WAITING.value,
                "stored_at": now,
                "replays": 0,
                "available_at": now,
            }
        )
        say_stored(self.name, letter_id, operation, attempts, kind)
        if self._count_stored():
            with safely(COMPONENT):  # the letter is stored: what goes wrong now is not the caller's
                self.apply_retention()
        return letter_id

    def list(
        self,
        *,
        state: LetterState | str | None = LetterState.WAITING,
        operation: str | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> tuple[DeadLetter, ...]:
        """Return letters, the oldest first.

        Args:
            state: waiting or discarded; None for both.
            operation: only those of this one.
            after: only those with a greater id: that of the last one of the page before.
            limit: how many at most.
        """
        return self._store.page(state=_state(state), operation=operation, after=after, limit=limit)

    def show(self, letter_id: int) -> DeadLetter:
        """Return one letter.

        Raises:
            DeadLetterNotFoundError: there is none.
        """
        return self._claims.find(letter_id)

    def handler(self, operation: str) -> Callable[[H], H]:
        """Register the decorated function, plain or async, as the one that replays an operation. It takes the letter.

        Raises:
            ConfigurationError: the operation has one already.
        """

        def register(function: H) -> H:
            problems = list(name_problems("operation", operation))
            with self._lock:
                if operation in self._handlers:
                    problems.append(f"the operation {operation!r} has a handler already; an operation has one.")
                if not problems:
                    self._handlers = {**self._handlers, operation: function}
            if problems:
                raise ConfigurationError([f"dead-letter queue {self.name!r}: {problem}" for problem in problems])
            return function

        return register

    def replay(
        self, *, ids: Iterable[int] | None = None, operation: str | None = None, limit: int = 100
    ) -> ReplayReport:
        """Run the handlers of the letters that are due, one after the other, each once; the oldest first.

        Args:
            ids: these letters instead, whether they are due or not, and discarded ones as well.
            operation: only letters of this one.
            limit: how many at most.

        Raises:
            ConfigurationError: no handler is registered for what is asked for, or it is async (use `replay_async`).
            DeadLetterNotFoundError: one of `ids` is not there.
            DeadLetterLeasedError: one of `ids` is being replayed.
        """
        handlers = self._handlers_for(operation)
        awaited = sorted(name for name, handler in handlers.items() if is_async(handler))
        if awaited:
            raise ConfigurationError(
                f"dead-letter queue {self.name!r}: the handler of {', '.join(awaited)} is async; use replay_async."
            )
        outcomes = Counter(r.run(handlers[r.letter.operation]) for r in self._claims.take(tuple(handlers), ids, limit))
        return self._report(outcomes, handlers, operation)

    async def replay_async(
        self, *, ids: Iterable[int] | None = None, operation: str | None = None, limit: int = 100
    ) -> ReplayReport:
        """Do the same as `replay`, with async handlers awaited here and plain ones in a thread.

        A cancelled replay leaves its letter leased until the lease lapses.
        """
        handlers = self._handlers_for(operation)
        outcomes: Counter[ReplayOutcome] = Counter()
        claims = self._claims.take(tuple(handlers), ids, limit)
        while (claimed := await asyncio.to_thread(next, claims, None)) is not None:
            handler: Any = handlers[claimed.letter.operation]
            if is_async(handler):
                outcomes[await claimed.run_async(handler)] += 1
            else:
                outcomes[await asyncio.to_thread(claimed.run, handler)] += 1
        return await asyncio.to_thread(self._report, outcomes, handlers, operation)

    def discard(self, letter_id: int) -> None:
        """Give a letter up: it is not replayed any more, and stays to be looked at until it is purged.

        Raises:
            DeadLetterNotFoundError: there is none.
            DeadLetterLeasedError: it is being replayed.
        """
        if self._store.discard(letter_id, self._clock.time()):
            count(self.name, "discarded")
            self._gauges.refresh()
        elif self.show(letter_id).state is LetterState.WAITING:
            raise self._claims.leased(letter_id)

    def purge(self, *, state: LetterState | str | None = LetterState.DISCARDED, older_than: float | None = None) -> int:
        """Delete letters, except those that are being replayed; return how many.

        Args:
            state: discarded, or waiting; None for both. A waiting one that is deleted counts as discarded.
            older_than: only those that were stored at least so many seconds ago.
        """
        now = self._clock.time()
        stored_before = None if older_than is None else now - older_than
        return self._deleted(self._store.purge(state=_state(state), stored_before=stored_before, now=now))

    def apply_retention(self) -> int:
        """Delete what is older than `max_age` or beyond `max_letters`; return how many. `add` does so now and then."""
        with self._lock:
            self._added_since_retention = 0
            self._retention_at = self._clock.monotonic()
        now, done = self._clock.time(), 0
        if self._settings.max_age is not None:
            too_old = now - self._settings.max_age
            done += self._deleted(self._store.purge(state=None, stored_before=too_old, now=now))
        if self._settings.max_letters is not None:
            done += self._deleted(self._store.keep_newest(self._settings.max_letters, now))
        return done

    def size(self) -> int:
        """Return how many letters wait."""
        return self._store.waiting()[0]

    def oldest_age(self) -> float | None:
        """Return how many seconds ago the oldest waiting letter was stored; None if none waits."""
        oldest = self._store.waiting()[1]
        return None if oldest is None else max(0.0, self._clock.time() - oldest)

    def close(self) -> None:
        """Give back the connections to the database, and end the gauges. A later use takes new connections."""
        self._gauges.end()
        self._store.close()

    def start_again_in_child(self) -> None:
        """Drop what threads of the parent held, and take connections of one's own; spanguard does so after a fork."""
        self._lock = threading.Lock()
        self._gauges.start_again_in_child()
        self._store.start_again_in_child()

    async def add_async(
        self, operation: str, payload: Any, *, error: BaseException | None = None, attempts: int = 1
    ) -> int:
        """Do the same as `add`, in a thread. If this is cancelled, the letter may be stored all the same."""
        return await asyncio.to_thread(self.add, operation, payload, error=error, attempts=attempts)

    async def list_async(self, **filters: Any) -> tuple[DeadLetter, ...]:
        """Do the same as `list`, in a thread."""
        return await asyncio.to_thread(self.list, **filters)

    async def show_async(self, letter_id: int) -> DeadLetter:
        """Do the same as `show`, in a thread."""
        return await asyncio.to_thread(self.show, letter_id)

    async def discard_async(self, letter_id: int) -> None:
        """Do the same as `discard`, in a thread."""
        await asyncio.to_thread(self.discard, letter_id)

    async def purge_async(self, **filters: Any) -> int:
        """Do the same as `purge`, in a thread."""
        return await asyncio.to_thread(self.purge, **filters)

    async def size_async(self) -> int:
        """Do the same as `size`, in a thread."""
        return await asyncio.to_thread(self.size)

    async def oldest_age_async(self) -> float | None:
        """Do the same as `oldest_age`, in a thread."""
        return await asyncio.to_thread(self.oldest_age)

    def _handlers_for(self, operation: str | None) -> dict[str, Callable[[DeadLetter], object]]:
        handlers = self._handlers
        if operation is not None:
            handlers = {name: handler for name, handler in handlers.items() if name == operation}
        if not handlers:
            what = "any operation" if operation is None else f"the operation {operation!r}"
            raise ConfigurationError(
                f"dead-letter queue {self.name!r}: no handler is registered for {what}, so nothing can be replayed; "
                "register one with @queue.handler(operation)."
            )
        return handlers

    def _report(self, outcomes: Counter[ReplayOutcome], handlers: Iterable[str], operation: str | None) -> ReplayReport:
        unhandled = self._store.due_without(tuple(handlers), operation=operation, now=self._clock.time())
        self._gauges.refresh()
        return ReplayReport(**{outcome.value: outcomes[outcome] for outcome in ReplayOutcome}, unhandled=unhandled)

    def _deleted(self, by_state: dict[LetterState, int]) -> int:
        count(self.name, "discarded", by_state[LetterState.WAITING])
        deleted = sum(by_state.values())
        if deleted:
            self._gauges.refresh()
        return deleted

    def _count_stored(self) -> bool:
        """Count a new letter, and tell whether it is time for `apply_retention`."""
        most = self._settings.max_letters
        with self._lock:
            self._stored.value += 1
            self._added_since_retention += 1
            return self._clock.monotonic() - self._retention_at >= RETENTION_INTERVAL or (
                most is not None and self._added_since_retention >= max(1, most // 10)
            )

    def _message_of(self, error: BaseException | None) -> str | None:
        if error is None or not self._settings.keep_error_messages:
            return None
        with safely(COMPONENT):  # an error's own __str__ may fail
            return self._redactor.text(str(error))
        return None


def _state(state: LetterState | str | None) -> LetterState | None:
    try:
        return None if state is None else LetterState(state)
    except ValueError:
        raise ConfigurationError(f"state is {state!r}; it must be waiting or discarded, or None for both.") from None


_queues: weakref.WeakSet[DeadLetterQueue] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for queue in list(_queues):
        queue.start_again_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
