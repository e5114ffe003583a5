"""The assembly: settings in, a running monitor out, and an orderly end on SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from typing import Any, Final

import httpx
import uvicorn
from starlette.applications import Starlette

from spanguard import __version__
from spanguard.errors import ResourceUnavailableError, SpanguardError
from spanguard.guard import guards
from spanguard.production_integration import initialize_production, shutdown_production
from tge_monitor import telemetry
from tge_monitor.api import build_api
from tge_monitor.feeds import FeedSource
from tge_monitor.fetching import Fetcher
from tge_monitor.mailer import Mailer, MailServer
from tge_monitor.matching import Matcher
from tge_monitor.monitor import DIGEST, MAIL_ROUND, DigestRounds, Monitor, Source
from tge_monitor.settings import Settings, load_settings
from tge_monitor.store import Store
from tge_monitor.twitter import TwitterSource, search_query

EXIT_BAD_INPUT: Final = 2

_BACKLOG: Final = 128
_MAX_REDIRECTS: Final = 5


def main() -> int:
    """Run the monitor with the settings of the environment; return the exit code.

    0 after SIGTERM or SIGINT; 2 when a setting is wrong or something needed is missing, told in one message.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("httpx", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        settings = load_settings()
        listener = bind(settings.host, settings.port)
        initialize_production("tge_monitor", settings.environment, profile_named(settings.profile), version=__version__)
    except SpanguardError as error:
        return _complain(error)
    try:
        asyncio.run(run(settings, listener))
    except ResourceUnavailableError as error:
        return _complain(error)
    finally:
        shutdown_production()
    return 0


async def run(settings: Settings, listener: socket.socket) -> None:
    """Watch, mail and serve until SIGTERM or SIGINT; then end the rounds under way, within the stop timeout."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    store = Store(settings.database)
    with telemetry.errors:
        async with httpx.AsyncClient(follow_redirects=True, max_redirects=_MAX_REDIRECTS) as client:
            await store.create_tables()
            monitor = Monitor(_sources(settings, client), _matcher(settings), store)
            digest = _digest(settings, store)
            rounds = monitor.rounds | ({MAIL_ROUND: digest.round} if digest else {})
            server = _Server(build_api(store, rounds))
            work = [monitor.watch(stop), server.serve_until(stop, listener)]
            if digest is not None:
                work.append(digest.mail_all(stop))
            host, port = listener.getsockname()[:2]
            print(json.dumps({"api": f"http://{host}:{port}", "pid": os.getpid()}), flush=True)  # noqa: T201 - for who started it
            try:
                await _finish(work, stop, settings.stop_timeout)
            finally:
                await store.close()


async def _finish(work: Sequence[Coroutine[Any, Any, None]], stop: asyncio.Event, grace: float) -> None:
    """Run everything until `stop`, then for `grace` seconds at most. What fails ends all of it, and is raised."""
    tasks = [asyncio.ensure_future(one) for one in work]
    waiting = asyncio.ensure_future(stop.wait())
    await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    await waiting
    _, late = await asyncio.wait(tasks, timeout=grace)
    for task in late:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    failures = [one for one in results if isinstance(one, Exception)]
    if failures:
        raise failures[0]


class _Server(uvicorn.Server):
    """uvicorn on a socket that is bound already; signals are the application's, not the server's."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(
            uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2)
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def serve_until(self, stop: asyncio.Event, listener: socket.socket) -> None:
        """Serve until `stop` is set, and let requests under way end."""
        ending = asyncio.ensure_future(self._exit_when(stop))
        try:
            await self.serve([listener])
        finally:
            ending.cancel()

    async def _exit_when(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.should_exit = True


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one.

    Raises:
        ResourceUnavailableError: the address is not ours or the port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ResourceUnavailableError(
            f"TGE_HOST is {host!r}: {error.strerror}. Use 127.0.0.1, or a local address."
        ) from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ResourceUnavailableError(
            f"TGE_HOST {host} with TGE_PORT {port} cannot be used: {error.strerror}. "
            "Choose another port, or 0 for a free one."
        ) from error
    return listener


def profile_named(profile: str) -> str:
    """Return the path of a profile that comes with this application, or the name as it is, for spanguard to find."""
    own = resources.files("tge_monitor").joinpath("profiles", f"{profile}.toml")
    return str(own) if profile.isidentifier() and own.is_file() else profile


def _sources(settings: Settings, client: httpx.AsyncClient) -> list[tuple[Source, float]]:
    fetcher = Fetcher(client, max_bytes=settings.max_body_bytes)
    sources: list[tuple[Source, float]] = [
        (FeedSource(name, str(url), fetcher), settings.feeds_interval) for name, url in settings.feeds.items()
    ]
    if settings.twitter_bearer_token is not None:
        twitter = TwitterSource(
            str(settings.twitter_url),
            settings.twitter_bearer_token.get_secret_value(),
            search_query(settings.keywords),
            fetcher,
            max_pages=settings.twitter_max_pages,
        )
        sources.append((twitter, settings.twitter_interval))
    return sources


def _matcher(settings: Settings) -> Matcher:
    return Matcher(settings.keywords, settings.companies, minimum_score=settings.minimum_score)


def _digest(settings: Settings, store: Store) -> DigestRounds | None:
    if not settings.recipients:
        return None
    server = MailServer(
        settings.smtp_host,
        settings.smtp_port,
        settings.smtp_timeout,
        settings.smtp_username,
        settings.smtp_password.get_secret_value(),
    )
    return DigestRounds(
        store,
        Mailer(server),
        guards.dead_letters(DIGEST),
        sender=settings.sender,
        recipients=settings.recipients,
        interval=settings.digest_interval,
    )


def _complain(error: SpanguardError) -> int:
    print(f"tge_monitor: {error}", file=sys.stderr)  # noqa: T201 - this is the command's voice
    return EXIT_BAD_INPUT
