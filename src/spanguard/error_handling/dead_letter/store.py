"""The letters in a database: SQLite embedded, PostgreSQL shared. Every method is one transaction and may block."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    inspect,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import PoolProxiedConnection

from spanguard.error_handling.dead_letter.engine import checked_url, open_engine
from spanguard.error_handling.dead_letter.errors import DeadLetterDatabaseError
from spanguard.error_handling.dead_letter.fork_gate import FORK_GATE
from spanguard.error_handling.dead_letter.letter import DeadLetter, LetterState
from spanguard.error_handling.dead_letter.settings import MAX_NAME
from spanguard.errors import ResourceUnavailableError

SCHEMA_VERSION: Final = 1
MAX_KEPT_WRITERS: Final = 4
"""Connections of SQLite that stay taken for the next letters; one at a time can write anyway."""

_of_parents: Final[list[object]] = []
# Any number will do, as long as nobody else in the database locks it.
_SCHEMA_LOCK: Final = 0x5350414E

_metadata = MetaData()
_version = Table("spanguard_dead_letter_schema", _metadata, Column("version", Integer, nullable=False))
_letters = Table(
    "spanguard_dead_letters",
    _metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("queue", String(MAX_NAME), nullable=False),
    Column("operation", String(MAX_NAME), nullable=False),
    Column("payload", Text, nullable=False),
    Column("error_type", Text),
    Column("error_message", Text),
    Column("attempts", Integer, nullable=False),
    Column("trace_id", String(32), nullable=False),
    Column("span_id", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("stored_at", Float(53), nullable=False),
    Column("replays", Integer, nullable=False),
    Column("available_at", Float(53), nullable=False),
    Column("leased_until", Float(53)),
    Column("lease_token", String(32)),
    Column("replay_error_type", Text),
    Index("spanguard_dead_letters_by_queue", "queue", "state", "id"),
    # Without it SQLite gives the id of a deleted last row again.
    sqlite_autoincrement=True,
)
_c = _letters.c
_insert = insert(_letters)
_ADDED: Final = [
    column.name
    for column in _letters.columns
    if column.name not in {"id", "leased_until", "lease_token", "replay_error_type"}
]
_SQLITE_INSERT: Final = str(_insert.compile(dialect=sqlite.dialect(paramstyle="qmark"), column_keys=_ADDED))
_waiting = _c.state == LetterState.WAITING.value


class Store:
    """The letters of one queue.

    Args:
        url: the database; a password in it is never shown.
        queue: the queue's name.

    Every method raises `ResourceUnavailableError` if the database cannot be reached or is too busy, and
    `DeadLetterDatabaseError` if it is not one of ours.
    """

    def __init__(self, url: str, queue: str) -> None:
        self._queue = queue
        self._mine = _c.queue == queue
        self._url = checked_url(url, queue)
        self.shown_url = self._url.render_as_string(hide_password=True)
        self._has_schema = False
        self._connect_anew()

    def add(self, values: dict[str, Any]) -> int:
        """Store one letter, and return its id once it is on the disk."""
        if self._writers is not None:
            with self._gate:
                return self._add_to_sqlite(self._writers, values)
        with self._transaction() as connection:
            key: Any = connection.execute(_insert, values).inserted_primary_key
            return int(key[0])

    def page(
        self, *, state: LetterState | None, operation: str | None, after: int, limit: int
    ) -> tuple[DeadLetter, ...]:
        """Return the letters with a greater id than `after`, the oldest first."""
        wanted = [self._mine, _c.id > after]
        if state is not None:
            wanted.append(_c.state == state.value)
        if operation is not None:
            wanted.append(_c.operation == operation)
        with self._transaction() as connection:
            rows = connection.execute(select(_letters).where(*wanted).order_by(_c.id).limit(limit))
            return tuple(map(_letter, rows))

    def find(self, letter_id: int) -> DeadLetter | None:
        """Return one letter."""
        with self._transaction() as connection:
            row = connection.execute(select(_letters).where(self._mine, _c.id == letter_id)).one_or_none()
            return None if row is None else _letter(row)

    def claim(
        self, token: str, *, operations: Sequence[str], after: int, letter_id: int | None, now: float, lease: float
    ) -> DeadLetter | None:
        """Lease the next letter that is due, or the one with this id whether it is due or not, and count the replay."""
        wanted = [self._mine, _c.operation.in_(operations), _is_free(now)]
        if letter_id is None:
            wanted += [_waiting, _c.id > after, _c.available_at <= now]
        else:
            wanted.append(_c.id == letter_id)
        # Another replayer passes over what this one has locked, instead of waiting for it.
        picked = select(_c.id).where(*wanted).order_by(_c.id).limit(1).with_for_update(skip_locked=True)
        claim = (
            update(_letters)
            .where(_c.id == picked.scalar_subquery())
            .values(
                state=LetterState.WAITING.value, lease_token=token, leased_until=now + lease, replays=_c.replays + 1
            )
            .returning(_letters)
        )
        with self._transaction() as connection:
            row = connection.execute(claim).one_or_none()
            return None if row is None else _letter(row)

    def renew(self, letter_id: int, token: str, until: float) -> bool:
        """Hold a lease for longer; tell whether it was still held."""
        return self._settle(letter_id, token, leased_until=until)

    def remove(self, letter_id: int, token: str) -> bool:
        """Take out a letter that was replayed; tell whether the lease was still held."""
        statement = delete(_letters).where(self._mine, _c.id == letter_id, _c.lease_token == token)
        with self._transaction() as connection:
            return connection.execute(statement).rowcount == 1

    def fail(self, letter_id: int, token: str, *, error_type: str, available_at: float, state: LetterState) -> bool:
        """Put a letter back after a replay that failed; tell whether the lease was still held."""
        return self._settle(
            letter_id,
            token,
            replay_error_type=error_type,
            available_at=available_at,
            state=state.value,
            leased_until=None,
            lease_token=None,
        )

    def discard(self, letter_id: int, now: float) -> bool:
        """Discard a letter that waits; tell whether there was one that nobody holds."""
        wanted = (self._mine, _c.id == letter_id, _waiting, _is_free(now))
        with self._transaction() as connection:
            done = connection.execute(update(_letters).where(*wanted).values(state=LetterState.DISCARDED.value))
            return done.rowcount == 1

    def discard_worn_out(self, max_replays: int, now: float) -> list[DeadLetter]:
        """Discard the letters whose last replay never came to an end, such as those that kill their replayer."""
        wanted = (self._mine, _waiting, _c.replays >= max_replays, _c.leased_until <= now)
        values = {"state": LetterState.DISCARDED.value, "leased_until": None, "lease_token": None}
        with self._transaction() as connection:
            return [
                _letter(row)
                for row in connection.execute(update(_letters).where(*wanted).values(values).returning(_letters))
            ]

    def purge(self, *, state: LetterState | None, stored_before: float | None, now: float) -> dict[LetterState, int]:
        """Delete letters that nobody holds; return how many of each state."""
        wanted = [self._mine, _is_free(now)]
        if stored_before is not None:
            wanted.append(_c.stored_at <= stored_before)
        if state is not None:
            wanted.append(_c.state == state.value)
        with self._transaction() as connection:
            return _counted(connection.execute(delete(_letters).where(*wanted).returning(_c.state)).scalars())

    def keep_newest(self, count: int, now: float) -> dict[LetterState, int]:
        """Delete all but the newest letters, of whatever state, except those that are held; return how many of each."""
        oldest_kept = (
            select(_c.id).where(self._mine).order_by(_c.id.desc()).limit(1).offset(count - 1).scalar_subquery()
        )
        wanted = (self._mine, _is_free(now), _c.id < oldest_kept)
        with self._transaction() as connection:
            return _counted(connection.execute(delete(_letters).where(*wanted).returning(_c.state)).scalars())

    def waiting(self) -> tuple[int, float | None]:
        """Return how many letters wait, and when the oldest of them was stored."""
        with self._transaction() as connection:
            count, oldest = connection.execute(
                select(func.count(), func.min(_c.stored_at)).where(self._mine, _waiting)
            ).one()
            return count, oldest

    def seen_waiting(self) -> tuple[int, float | None]:
        """Return what `waiting` does, for those who only look: that makes no file of SQLite where there is none."""
        file = self._url.database or ""
        # In SQLite's own form, file:..., only it can read an address.
        if not (self._has_schema or self._writers is None or file.startswith("file:") or Path(file).exists()):
            return 0, None
        return self.waiting()

    def due_without(self, operations: Sequence[str], *, operation: str | None, now: float) -> int:
        """Return how many letters are due whose operation is not among these."""
        wanted = [self._mine, _waiting, _is_free(now), _c.available_at <= now, _c.operation.not_in(operations)]
        if operation is not None:
            wanted.append(_c.operation == operation)
        with self._transaction() as connection:
            return int(connection.execute(select(func.count()).select_from(_letters).where(*wanted)).scalar_one())

    def close(self) -> None:
        """Give back every connection."""
        with self._gate:
            self.close_connections()

    def close_connections(self) -> None:
        """Close the connections that are not in use just now."""
        while self._writers:
            self._writers.pop().close()
        self._engine.dispose()

    def start_again_in_child(self) -> None:
        """Take connections of one's own after a fork. The parent still talks through the inherited ones: they are kept."""
        _of_parents.append((self._engine, self._writers))
        self._connect_anew()

    def _connect_anew(self) -> None:
        self._engine = open_engine(self._url, self._queue)
        self._writers: deque[PoolProxiedConnection] | None = None
        self._gate: AbstractContextManager[None] = nullcontext()
        if self._engine.dialect.name == "sqlite":
            self._writers = deque()
            self._gate = FORK_GATE
            FORK_GATE.watch(self)

    def _add_to_sqlite(self, writers: deque[PoolProxiedConnection], row: dict[str, Any]) -> int:
        # SQLAlchemy's way from an insert to the driver costs as much as the insert and the disk together: the statement
        # is compiled once, and the connection stays taken between two letters.
        try:
            self._ensure_schema()
            connection = writers.pop() if writers else self._engine.raw_connection()
            try:
                driver: Any = connection.dbapi_connection
                letter_id: int = driver.execute(_SQLITE_INSERT, tuple(map(row.__getitem__, _ADDED))).lastrowid
                driver.commit()
            except BaseException:
                connection.invalidate()
                raise
        except (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error) as error:
            raise self._explained(error) from error
        if len(writers) < MAX_KEPT_WRITERS:
            writers.append(connection)
        else:
            connection.close()
        return letter_id

    def _settle(self, letter_id: int, token: str, **values: Any) -> bool:
        wanted = (self._mine, _c.id == letter_id, _c.lease_token == token)
        with self._transaction() as connection:
            return connection.execute(update(_letters).where(*wanted).values(values)).rowcount == 1

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._gate:
                self._ensure_schema()
                with self._engine.begin() as connection:
                    yield connection
        except (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error) as error:
            raise self._explained(error) from error

    def _ensure_schema(self) -> None:
        if not self._has_schema:
            with self._engine.begin() as connection:
                self._create_or_check_schema(connection)
            self._has_schema = True

    def _create_or_check_schema(self, connection: Connection) -> None:
        # Two processes that begin at once must not both create the tables.
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        present = [inspect(connection).has_table(table.name) for table in (_version, _letters)]
        if not any(present):
            _metadata.create_all(connection)
            connection.execute(insert(_version).values(version=SCHEMA_VERSION))
            return
        versions = connection.execute(select(_version.c.version)).scalars().all() if present[0] else []
        if not all(present) or list(versions) != [SCHEMA_VERSION]:
            found = f"version {', '.join(map(str, versions))}" if versions else "no version"
            raise DeadLetterDatabaseError(
                f"dead-letter queue {self._queue!r}: the tables in {self.shown_url} are of {found}; this spanguard knows "
                f"version {SCHEMA_VERSION}. Nothing was changed. Use the spanguard that wrote them, or another database."
            )

    def _explained(self, error: Exception) -> Exception:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        driver = self._engine.dialect.loaded_dbapi
        where = f"dead-letter queue {self._queue!r}: the database {self.shown_url}"
        # The text of a database error may quote a letter: only its class is shown.
        if isinstance(cause, (SQLAlchemyError, driver.OperationalError, driver.InterfaceError)):
            return ResourceUnavailableError(
                f"{where} cannot be used now ({type(cause).__name__}). Start the server, or correct the address; a SQLite "
                "file needs a folder that can be written, and no other program that holds it locked."
            )
        return DeadLetterDatabaseError(
            f"{where} is damaged, or not one of a dead-letter queue ({type(cause).__name__}). Nothing was changed. "
            "Restore it, or name another database."
        )


def _is_free(now: float) -> Any:
    return or_(_c.leased_until.is_(None), _c.leased_until <= now)


def _counted(states: Any) -> dict[LetterState, int]:
    counts = dict.fromkeys(LetterState, 0)
    for state in states:
        counts[LetterState(state)] += 1
    return counts


def _letter(row: Row[Any]) -> DeadLetter:
    values = row._asdict()
    del values["lease_token"]
    values["payload"] = json.loads(values["payload"])
    values["state"] = LetterState(values["state"])
    return DeadLetter(**values)
