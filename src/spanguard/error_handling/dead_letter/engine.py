"""The way to the database: which URLs are durable, and what makes a connection so."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError

from spanguard.errors import ConfigurationError

BUSY_TIMEOUT_MS: Final = 30_000
"""How long a writer of SQLite waits for another one."""

_CONNECT_TIMEOUT: Final = 5
_SILENCE_TIMEOUT_MS: Final = 30_000


def checked_url(url: str, queue: str) -> URL:
    """Return a URL that names a durable database, with the driver for it.

    Raises:
        ConfigurationError: it cannot be read, is of another database, or of one in memory. No password is shown.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError(
            f"dead-letter queue {queue!r}: url cannot be read as a database URL (it is not shown, as it may hold a "
            "password). Write sqlite:///file.db or postgresql://user@host/database."
        ) from None
    backend, shown = parsed.get_backend_name(), parsed.render_as_string(hide_password=True)
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise ConfigurationError(
            f"dead-letter queue {queue!r}: url is {shown!r}; it must begin with sqlite or postgresql."
        )
    if parsed.database in (None, "", ":memory:"):
        raise ConfigurationError(
            f"dead-letter queue {queue!r}: url is {shown!r}, a database in memory, but a letter must outlive the process; "
            "name a file: sqlite:///dead_letters.db."
        )
    return parsed.set(drivername="sqlite")


def open_engine(url: URL, queue: str) -> Engine:
    """Return an engine whose commits are on the disk when they return; it connects at the first use.

    Raises:
        ConfigurationError: the driver for PostgreSQL is not installed.
    """
    if url.get_backend_name() == "postgresql":
        bounds = {"connect_timeout": _CONNECT_TIMEOUT, "tcp_user_timeout": _SILENCE_TIMEOUT_MS}
        try:
            engine = create_engine(url, pool_pre_ping=True, hide_parameters=True, connect_args=bounds)
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"dead-letter queue {queue!r}: url names PostgreSQL, which needs {error.name}: "
                "pip install 'spanguard[postgres]'"
            ) from error
        event.listen(engine, "connect", _make_postgresql_durable)
    else:
        # As many connections as there are threads that ask: what one waits for is the file, not the pool.
        engine = create_engine(url, hide_parameters=True, max_overflow=-1)
        event.listen(engine, "connect", _make_sqlite_durable)
    return engine


def _make_postgresql_durable(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("SHOW synchronous_commit")
    if cursor.fetchone()[0] == "off":
        cursor.execute("SET synchronous_commit TO on")
    cursor.close()
    connection.commit()


def _make_sqlite_durable(connection: Any, _record: Any) -> None:
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
