"""The rounds: each source polls on its own, and the digest goes out; one that fails holds up no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from spanguard.error_handling import DeadLetter, DeadLetterQueue, ErrorSeverity, degraded_answers
from spanguard.guard import guard
from spanguard.telemetry import error_type
from tge_monitor import telemetry
from tge_monitor.digest import compose
from tge_monitor.mailer import Mailer
from tge_monitor.matching import Matcher
from tge_monitor.model import Announcement, Batch, Item, Match, ThrottledError
from tge_monitor.store import Store

MAIL_ROUND: Final = "mail digest"
DIGEST: Final = "mail_digest"
"""The guard of a digest, the queue of those that could not be sent, and the operation of their letters."""

_PER_MAIL: Final = 200


class Source(Protocol):
    """Something that can be polled."""

    name: str

    def poll(self) -> AsyncIterator[Batch]:
        """Bring what there is, batch by batch; raise what kept it from answering."""
        ...


@dataclass(slots=True)
class Round:
    """What is known of the rounds of one source, or of the digest.

    Attributes:
        rounds: how many ended.
        failed: how many of these without a result.
        degraded: how many of these with an answer that something stood in for.
        last_at: when the last one ended.
        last_error: the class of what the last one failed with; empty if it did not.
    """

    rounds: int = 0
    failed: int = 0
    degraded: int = 0
    last_at: datetime | None = None
    last_error: str = ""


class Monitor:
    """Polls, matches, stores and mails until it is told to stop.

    Args:
        sources: each with the seconds between its polls.
        matcher: tells which items are announcements.
        store: where they are kept.
    """

    def __init__(self, sources: Sequence[tuple[Source, float]], matcher: Matcher, store: Store) -> None:
        self._sources = sources
        self._matcher = matcher
        self._store = store
        self.rounds = {source.name: Round() for source, _ in sources}

    async def watch(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set; a round under way is ended first."""
        async with asyncio.TaskGroup() as tasks:
            for source, interval in self._sources:
                tasks.create_task(self._watch(source, interval, stop))

    async def poll(self, source: Source) -> None:
        """Poll a source once, and store what is an announcement."""
        async for batch in source.poll():
            telemetry.report_refused(source.name, batch.refused)
            matched = await asyncio.to_thread(self._match, batch)
            stored = await self._store.add(matched)
            telemetry.count_items(source.name, telemetry.STORED, stored)
            telemetry.count_items(source.name, telemetry.DUPLICATE, len(matched) - stored)
            telemetry.count_items(source.name, telemetry.UNMATCHED, len(batch.items) - len(matched))

    async def _watch(self, source: Source, interval: float, stop: asyncio.Event) -> None:
        await repeat(f"poll {source.name}", lambda: self.poll(source), interval, stop, self.rounds[source.name])

    def _match(self, batch: Batch) -> list[tuple[Item, Match]]:
        found = ((item, self._matcher.match(item)) for item in batch.items)
        return [(item, match) for item, match in found if match is not None]


class DigestRounds:
    """Mails what was not mailed yet: once each, and again only where no server took it.

    A digest that could not be sent is a dead letter, which the next round replays.

    Args:
        store: where the announcements are.
        mailer: sends.
        letters: the queue that keeps what could not be sent.
        sender: the mail address that it comes from.
        recipients: those that it goes to.
        interval: seconds between two mails.
    """

    def __init__(
        self,
        store: Store,
        mailer: Mailer,
        letters: DeadLetterQueue,
        *,
        sender: str,
        recipients: Sequence[str],
        interval: float,
    ) -> None:
        self._store = store
        self._mailer = mailer
        self._letters = letters
        letters.handler(DIGEST)(self._send_again)
        self._sender = sender
        self._recipients = recipients
        self._interval = interval
        self._taken: list[int] = []
        self.round = Round()

    async def mail_all(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set; a mail under way is ended first."""
        await repeat(MAIL_ROUND, self.mail, self._interval, stop, self.round)

    async def mail(self) -> None:
        """Mail what could not be sent before, and then one digest of what is new; nothing new, no mail."""
        await self._note_taken()
        await self._letters.replay_async(operation=DIGEST)
        await self._note_taken()
        kept = [
            known
            for letter in await self._letters.list_async(operation=DIGEST)
            for known in letter.payload["announcements"]
        ]
        announcements = await self._store.unmailed(_PER_MAIL, besides=kept)
        if announcements:
            await self._send_or_keep(announcements)
            await self._note_taken()

    @guard(DIGEST, dead_letter_payload=lambda _, announcements: {"announcements": [one.id for one in announcements]})
    async def _send_or_keep(self, announcements: Sequence[Announcement]) -> None:
        await self._send(announcements)

    async def _send_again(self, letter: DeadLetter) -> None:
        await self._send(await self._store.find(letter.payload["announcements"]))

    async def _send(self, announcements: Sequence[Announcement]) -> None:
        await self._mailer.send(compose(announcements, sender=self._sender, recipients=self._recipients))
        telemetry.count_mailed(len(announcements))
        self._taken += [announcement.id for announcement in announcements]

    async def _note_taken(self) -> None:
        """Write down what a server took; what the database did not take down is tried again before the next mail."""
        if self._taken:
            await self._store.mark_mailed(self._taken)
            self._taken = []


async def repeat(
    name: str, work: Callable[[], Awaitable[None]], interval: float, stop: asyncio.Event, known: Round
) -> None:
    """Do the work again and again, `interval` seconds apart or when a throttling server allows, until `stop` is set."""
    while not stop.is_set():
        pause = await run_round(name, work, interval, known)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)


async def run_round(name: str, work: Callable[[], Awaitable[None]], interval: float, known: Round) -> float:
    """Do the work once, in a trace of its own whose root has this name. Return in how many seconds to do it again."""
    pause, kind = interval, ""
    with telemetry.span(name, {}) as span, degraded_answers() as degraded:
        try:
            await work()
        except Exception as failure:  # noqa: BLE001 - whatever one round failed with, there is a next one
            kind = error_type(failure)
            if isinstance(failure, ThrottledError) and failure.retry_after is not None:
                pause = failure.retry_after
            telemetry.mark_failed(span, kind)
            telemetry.errors.handle(failure, severity=ErrorSeverity.WARNING)
            telemetry.report_round_failed(name, kind, pause)
    known.rounds += 1
    known.failed += bool(kind)
    known.degraded += bool(degraded)
    known.last_error = kind
    known.last_at = datetime.now(UTC)
    return pause
