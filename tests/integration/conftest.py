"""Real servers for the reference application: its other ends, its databases, its guards."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url

from spanguard.config_manager import load_profile
from spanguard.error_handling import circuit_breakers
from spanguard.guard import guards as registry
from spanguard.rate_limiter import rate_limit_manager
from tge_monitor.app import profile_named
from tge_monitor.other_ends import OtherEnds
from tge_monitor.store import Store

ChangeGuards = Callable[..., None]


@pytest.fixture
def other_ends() -> Iterator[OtherEnds]:
    """The HTTP service and the mail server that the application talks to."""
    with OtherEnds() as running:
        yield running


@pytest.fixture
def change_guards(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChangeGuards]:
    """Let the guards of this process go by the demo profile, with what the environment variables given change."""
    letters = tmp_path_factory.mktemp("letters") / "letters.db"
    monkeypatch.setenv("SPANGUARD_DEAD_LETTERS__MAIL_DIGEST__URL", f"sqlite:///{letters}")

    def change(**environment: str) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        registry.reconfigure(load_profile(profile_named("demo")))

    yield change
    registry.reset()
    circuit_breakers.reset()
    rate_limit_manager.reset()


@pytest.fixture
def guards(change_guards: ChangeGuards) -> None:
    """The guards of the demo profile."""
    change_guards()


class PostgresServer:
    """A PostgreSQL server of its own, on a free port of loopback; it can be stopped and started like any other.

    Attributes:
        url: its maintenance database.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._become: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            self._become = ["runuser", "-u", "postgres", "--"]
            shutil.chown(folder, "postgres")
        port = _free_port()
        self._options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off"
        self.url = make_url(f"postgresql+psycopg://tge@127.0.0.1:{port}/postgres")
        self._run("initdb", "-U", "tge", "--auth=trust", "-E", "UTF8", "--no-sync")

    def start(self) -> None:
        """Start, and wait until it answers."""
        self._run("pg_ctl", "-w", "-l", str(self._folder / "log"), "-o", self._options, "start")

    def stop(self) -> None:
        """Stop at once, with every connection."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._become, _postgresql_program(program) or program, "-D", str(self._folder / "data"), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self._folder, timeout=60)


def _postgresql_program(name: str) -> str | None:
    # Debian keeps them off the PATH, one directory a version.
    known = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(known[-1]) if known else None)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresServer]:
    """A running PostgreSQL server; whoever stops it starts it again."""
    if not all(map(_postgresql_program, ("initdb", "pg_ctl"))):
        pytest.skip("PostgreSQL's initdb and pg_ctl were not found (apt install postgresql)")
    # Not below pytest's own directory: that is closed to the other user as whom the server may have to run.
    with tempfile.TemporaryDirectory(prefix="postgresql-") as folder:
        server = PostgresServer(Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """An empty database, of each kind that the application can use."""
    if request.param == "sqlite":
        return make_url(f"sqlite:///{tmp_path / 'tge.db'}")
    server: PostgresServer = request.getfixturevalue("postgresql_server")
    engine = create_engine(server.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS tge WITH (FORCE)"))
        connection.execute(text("CREATE DATABASE tge"))
    engine.dispose()
    return server.url.set(database="tge")


@pytest.fixture
async def store(database: URL, guards: None) -> AsyncIterator[Store]:
    """The application's store on an empty database."""
    opened = Store(database)
    await opened.create_tables()
    yield opened
    await opened.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
