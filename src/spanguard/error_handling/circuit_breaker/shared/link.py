"""The link to a server: one thread a process and URL does all that is asked of it, so that nobody waits for long.

Calls hand over what they have to tell, and wait at most `timeout` seconds for a permit. A server that is gone or slow
degrades the link: everybody goes on alone, at once, until the thread finds the server well again.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import weakref
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from random import uniform
from time import monotonic
from typing import Any, Final, Protocol
from uuid import uuid4

from spanguard.error_handling.circuit_breaker.shared.server import Line, Server
from spanguard.telemetry import error_type

POLL: Final = (0.3, 0.5)
"""Seconds between two looks at the server, at random between these two: a move is known elsewhere well within 1 s."""

TRY_AGAIN: Final = (0.5, 1.5)
"""Seconds between two tries while the link is degraded, at random so that the processes do not come as a herd."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The server's answer to a call that would be a probe.

    Attributes:
        token: the probe's name.
        epoch: the epoch of the half-open state.
        is_granted: whether it may be made.
    """

    token: str
    epoch: str
    is_granted: bool


class Sharing(Protocol):
    """What the link knows of a storage. All but `changed` and `give_back` is called by the link's thread alone."""

    @property
    def keys(self) -> tuple[str, str]:
        """The keys at the server."""
        ...

    @property
    def epoch(self) -> str:
        """The epoch that the breaker is in."""
        ...

    def tell(self, server: Server) -> None:
        """Tell what the breaker has to tell."""
        ...

    def look(self, server: Server) -> None:
        """Take over the state at the server."""
        ...

    def admit(self, server: Server, tokens: Sequence[str]) -> list[Lease]:
        """Ask for permits."""
        ...

    def give_back(self, lease: Lease) -> None:
        """Return a permit that nobody used."""
        ...

    def changed(self, *, is_degraded: bool, kind: str | None) -> None:
        """Learn that the link was degraded or is well again."""
        ...

    def start_again_in_child(self) -> None:
        """Drop what belongs to the parent process."""
        ...


class Ask:
    """A call that waits for a permit; the answer is None if the server is not there."""

    __slots__ = ("answer", "sharing", "token")

    def __init__(self, sharing: Sharing) -> None:
        self.sharing = sharing
        self.token = uuid4().hex
        self.answer: Future[Lease | None] = Future()
        # From here on it cannot be cancelled: whoever takes the ask off the list may set the result.
        self.answer.set_running_or_notify_cancel()


_Inbox = queue.SimpleQueue[Ask | None]


class Link:
    """The thread's side and the callers' side of one server.

    Attributes:
        timeout: seconds that a call waits for an answer.
        is_degraded: whether everybody goes on alone.
    """

    def __init__(self, line: Line, timeout: float) -> None:
        self.timeout = timeout
        self.is_degraded = False
        self._kind: str | None = None
        self._line = line
        self._sharing: weakref.WeakSet[Sharing] = weakref.WeakSet()
        self._begin()
        _links.add(self)

    def _begin(self) -> None:
        # Re-entrant: a garbage collection inside the lock may close a coroutine that waits for a permit.
        self._lock = threading.RLock()
        self._asks: set[Ask] = set()
        self._due = 0.0
        self._inbox: _Inbox = queue.SimpleQueue()
        # Wakes the thread when the link is garbage, so that it ends.
        weakref.finalize(self, self._inbox.put, None).atexit = False
        threading.Thread(
            target=_serve, args=(weakref.ref(self), self._inbox, self._line), name="spanguard-breaker-link", daemon=True
        ).start()

    def start_again_in_child(self) -> None:
        """Begin anew, with a thread and a connection of this process."""
        for sharing in list(self._sharing):
            sharing.start_again_in_child()
        self._line = self._line.renewed()
        self._begin()

    # --- the callers' side -----------------------------------------------------------------------------------------

    def join(self, sharing: Sharing) -> None:
        """Serve one more breaker."""
        with self._lock:
            self._sharing.add(sharing)
            is_degraded, kind = self.is_degraded, self._kind
            if not is_degraded:
                self._due = 0.0
        if is_degraded:
            sharing.changed(is_degraded=True, kind=kind)
        self.wake()

    def wake(self) -> None:
        """Let the thread look for news."""
        self._inbox.put(None)

    def ask(self, sharing: Sharing) -> Ask | None:
        """Ask for a permit; None if the server is not there."""
        ask = Ask(sharing)
        with self._lock:
            if self.is_degraded:
                return None
            self._asks.add(ask)
        self._inbox.put(ask)
        return ask

    def wait(self, ask: Ask) -> Lease | None:
        """Block until the answer is there, at most for `timeout`; a server that takes longer counts as gone."""
        try:
            return ask.answer.result(self.timeout)
        except TimeoutError:
            self.degrade("TimeoutError")
            return ask.answer.result()
        except BaseException:
            self._abandon(ask)
            raise

    async def wait_async(self, ask: Ask) -> Lease | None:
        """Suspend this task until the answer is there, as `wait` does."""
        try:
            await asyncio.wait((asyncio.wrap_future(ask.answer),), timeout=self.timeout)
        except BaseException:
            self._abandon(ask)
            raise
        if not ask.answer.done():
            self.degrade("TimeoutError")
        return ask.answer.result()

    def _abandon(self, ask: Ask) -> None:
        with self._lock:
            is_open = ask in self._asks
            self._asks.discard(ask)
        lease = None if is_open else ask.answer.result()
        if lease is not None and lease.is_granted:
            ask.sharing.give_back(lease)

    def degrade(self, kind: str) -> None:
        """Let everybody go on alone: those who wait, and those to come."""
        with self._lock:
            waiting, self._asks = self._asks, set()
            is_news, self.is_degraded, self._kind = not self.is_degraded, True, kind
            self._due = monotonic() + uniform(*TRY_AGAIN)  # noqa: S311 - spreads load
            sharing = list(self._sharing)
        for ask in waiting:
            ask.answer.set_result(None)
        if is_news:
            for one in sharing:
                one.changed(is_degraded=True, kind=kind)

    # --- the thread's side -----------------------------------------------------------------------------------------

    def turn(self) -> float:
        """Do what is due; return the seconds until something will be."""
        with self._lock:
            was_degraded, due, sharing = self.is_degraded, self._due, list(self._sharing)
        is_due = monotonic() >= due
        if is_due or not was_degraded:
            try:
                server = self._line.server()
                for one in sharing:
                    one.tell(server)
                if is_due:
                    self._look(server, sharing)
            except Exception as error:  # noqa: BLE001 - whatever it is, everybody goes on alone
                self._fail(error)
            else:
                if is_due:
                    self._found_well(was_degraded=was_degraded)
        return max(0.0, self._due - monotonic())

    def _look(self, server: Server, sharing: Sequence[Sharing]) -> None:
        for one, epoch in zip(sharing, server.epochs([one.keys[0] for one in sharing]), strict=True):
            if epoch != one.epoch:
                one.look(server)

    def _fail(self, error: Exception) -> None:
        self._line.hang_up()
        self.degrade(error_type(error))

    def _found_well(self, *, was_degraded: bool) -> None:
        with self._lock:
            # Somebody waited too long in the meantime: that is for the next try to find out.
            if self.is_degraded and not was_degraded:
                return
            self.is_degraded, self._kind = False, None
            self._due = monotonic() + uniform(*POLL)  # noqa: S311 - spreads load
            sharing = list(self._sharing)
        if was_degraded:
            for one in sharing:
                one.changed(is_degraded=False, kind=None)

    def answer(self, asks: Iterable[Ask]) -> None:
        """Ask the server for the permits of those who still wait, all of one breaker at once."""
        by_sharing: dict[Sharing, list[Ask]] = {}
        with self._lock:
            for ask in asks:
                if ask in self._asks:
                    by_sharing.setdefault(ask.sharing, []).append(ask)
        for sharing, group in by_sharing.items():
            tokens = [ask.token for ask in group]
            try:
                server = self._line.server()
                sharing.tell(server)
                leases = sharing.admit(server, tokens)
            except Exception as error:  # noqa: BLE001 - as in `turn`
                # A server that hung may read the question yet, and grant what nobody waits for.
                for token in tokens:
                    sharing.give_back(Lease(token, "", is_granted=True))
                self._fail(error)
                return
            for ask, lease in zip(group, leases, strict=True):
                self._resolve(ask, lease)

    def _resolve(self, ask: Ask, lease: Lease) -> None:
        with self._lock:
            still_waits = ask in self._asks
            self._asks.discard(ask)
        if still_waits:
            ask.answer.set_result(lease)
        elif lease.is_granted:
            ask.sharing.give_back(lease)


def _serve(reference: weakref.ref[Link], inbox: _Inbox, line: Line) -> None:
    """Run until the link is garbage: between two turns nothing here holds on to it."""
    jobs: list[Ask | None] = []
    while True:
        link = reference()
        if link is None:
            line.hang_up()
            return
        link.answer(job for job in jobs if job is not None)
        jobs.clear()
        wait = link.turn()
        del link
        try:
            jobs.append(inbox.get(timeout=wait))
            while True:
                jobs.append(inbox.get_nowait())
        except queue.Empty:
            pass


_links: weakref.WeakSet[Link] = weakref.WeakSet()
_by_address: weakref.WeakValueDictionary[tuple[str, float], Link] = weakref.WeakValueDictionary()
_by_address_lock = threading.Lock()


def link_to(url: str, timeout: float, options: Mapping[str, Any]) -> Link:
    """Return the link of this process to a server; breakers that have options of their own have one of their own."""
    line = Line(url, timeout, options)
    if options:
        return Link(line, timeout)
    with _by_address_lock:
        link = _by_address.get((url, timeout))
        if link is None:
            link = _by_address[url, timeout] = Link(line, timeout)
        return link


def start_again_in_child() -> None:
    """Begin all links anew; the breakers have new locks by now."""
    global _by_address_lock  # noqa: PLW0603 - a thread of the parent may have held it
    _by_address_lock = threading.Lock()
    for link in list(_links):
        link.start_again_in_child()
