"""The announcements in a database: SQLite embedded, PostgreSQL by URL. Each is stored once, whoever stores it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from sqlalchemy import (
    JSON,
    DateTime,
    Engine,
    Select,
    String,
    Text,
    create_engine,
    event,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Dialect
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.types import TypeDecorator

from spanguard.errors import ResourceUnavailableError
from spanguard.guard import guard
from tge_monitor.model import Announcement, Item, Match
from tge_monitor.text import MAX_LINK, MAX_TITLE

T = TypeVar("T")

_CONNECT_TIMEOUT: Final = 5
_PROBE_TIMEOUT: Final = 10
_SILENCE_TIMEOUT_MS: Final = 30_000
_BUSY_TIMEOUT_MS: Final = 5000


class _Utc(TypeDecorator[datetime]):
    """A moment in UTC; SQLite forgets the zone, so it is put back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the signature is the base class's
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class _Base(DeclarativeBase):
    type_annotation_map = {datetime: _Utc}  # noqa: RUF012 - SQLAlchemy's own way to say it


class _Row(_Base):
    __tablename__ = "announcements"

    id: Mapped[int] = mapped_column(primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64), unique=True)
    source: Mapped[str] = mapped_column(String(40), index=True)
    link: Mapped[str] = mapped_column(String(MAX_LINK))
    title: Mapped[str] = mapped_column(String(MAX_TITLE))
    summary: Mapped[str] = mapped_column(Text)
    published_at: Mapped[datetime | None]
    seen_at: Mapped[datetime]
    score: Mapped[int]
    why: Mapped[list[str]] = mapped_column(JSON)
    mailed_at: Mapped[datetime | None] = mapped_column(index=True)


class Store:
    """The database, behind the guard `database`. Every method runs in a thread; none blocks the event loop.

    A transaction that is late is given up, and may still be done; one that failed is tried again: everything here may
    be done twice.

    Args:
        url: where it is; a password in it is never shown.
    """

    def __init__(self, url: URL) -> None:
        self._shown_url = url.render_as_string(hide_password=True)
        self._engine = _engine(url)
        self._upsert = postgresql.insert if url.get_backend_name() == "postgresql" else sqlite.insert

    async def create_tables(self) -> None:
        """Make the tables that are missing.

        Raises:
            ResourceUnavailableError: the database cannot be reached or written.
        """
        try:
            await asyncio.to_thread(_Base.metadata.create_all, self._engine)
        except SQLAlchemyError as error:
            raise ResourceUnavailableError(
                f"TGE_DATABASE_URL is {self._shown_url}: the database cannot be used ({type(error).__name__}). "
                "Start the server, or correct the address; a SQLite file needs a folder that can be written."
            ) from error

    async def add(self, announcements: Sequence[tuple[Item, Match]]) -> int:
        """Store what is not there yet; return how many that were."""
        if not announcements:
            return 0
        now = datetime.now(UTC)
        rows = {item.fingerprint: _values(item, match, now) for item, match in announcements}

        def run(session: Session) -> int:
            statement = self._upsert(_Row).on_conflict_do_nothing(index_elements=["fingerprint"]).returning(_Row.id)
            return len(session.execute(statement, list(rows.values())).all())

        return await self._run(run)

    async def unmailed(self, limit: int, *, besides: Iterable[int] = ()) -> list[Announcement]:
        """Return the oldest announcements that no mail server took yet, besides those with these ids."""
        query = select(_Row).where(_Row.mailed_at.is_(None), _Row.id.not_in(list(besides)))
        return await self._read(query.order_by(_Row.id).limit(limit))

    async def find(self, ids: Iterable[int]) -> list[Announcement]:
        """Return those with these ids, the oldest first."""
        return await self._read(select(_Row).where(_Row.id.in_(list(ids))).order_by(_Row.id))

    async def mark_mailed(self, ids: Iterable[int]) -> None:
        """Note that these were mailed."""
        wanted, now = list(ids), datetime.now(UTC)

        def run(session: Session) -> None:
            session.execute(update(_Row).where(_Row.id.in_(wanted), _Row.mailed_at.is_(None)).values(mailed_at=now))

        await self._run(run)

    async def page(
        self, *, limit: int, before: int | None = None, source: str | None = None, words: str | None = None
    ) -> list[Announcement]:
        """Return the newest announcements first.

        Args:
            limit: how many at most.
            before: only those with a smaller id: the last one's of the page before.
            source: only those of this source.
            words: only those with these words, as they stand, in title or summary; case does not matter.
        """
        query = select(_Row).order_by(_Row.id.desc()).limit(limit)
        if before is not None:
            query = query.where(_Row.id < before)
        if source is not None:
            query = query.where(_Row.source == source)
        if words:
            query = query.where(
                or_(_Row.title.icontains(words, autoescape=True), _Row.summary.icontains(words, autoescape=True))
            )
        return await self._read(query)

    async def counts(self) -> dict[str, int]:
        """Return how many announcements are stored, and how many of them are not mailed."""

        def run(session: Session) -> dict[str, int]:
            stored, mailed = session.execute(select(func.count(_Row.id), func.count(_Row.mailed_at))).one()
            return {"stored": stored, "unmailed": stored - mailed}

        return await self._run(run)

    async def is_reachable(self) -> bool:
        """Tell whether the database answers; asked past the guard, so that a probe counts as no call."""
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT):
                await self._transact(lambda session: session.execute(text("SELECT 1")))
        except (SQLAlchemyError, TimeoutError):
            return False
        return True

    async def close(self) -> None:
        """Give back every connection."""
        await asyncio.to_thread(self._engine.dispose)

    async def _read(self, query: Select[_Row]) -> list[Announcement]:
        return await self._run(lambda session: [_announcement(row) for row in session.scalars(query)])

    @guard("database", retry_on=OperationalError)
    async def _run(self, work: Callable[[Session], T]) -> T:
        return await self._transact(work)

    async def _transact(self, work: Callable[[Session], T]) -> T:
        def transaction() -> T:
            with Session(self._engine) as session, session.begin():
                return work(session)

        return await asyncio.to_thread(transaction)


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        bounds = {"connect_timeout": _CONNECT_TIMEOUT, "tcp_user_timeout": _SILENCE_TIMEOUT_MS}
        return create_engine(url, pool_pre_ping=True, connect_args=bounds)
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # Readers go on while one writes; a second writer waits instead of failing.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")

    return engine


def _values(item: Item, match: Match, seen_at: datetime) -> dict[str, Any]:
    return {
        "fingerprint": item.fingerprint,
        "source": item.source,
        "link": item.link,
        "title": item.title,
        "summary": item.summary,
        "published_at": item.published_at,
        "seen_at": seen_at,
        "score": match.score,
        "why": list(match.why),
        "mailed_at": None,
    }


def _announcement(row: _Row) -> Announcement:
    return Announcement(
        id=row.id,
        source=row.source,
        link=row.link,
        title=row.title,
        summary=row.summary,
        published_at=row.published_at,
        seen_at=row.seen_at,
        score=row.score,
        why=tuple(row.why),
        mailed_at=row.mailed_at,
    )
