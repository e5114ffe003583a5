"""A monitor's parts, before its real other ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from sqlalchemy.engine import URL, make_url

from integration.tge_rounds.rounds import KEYWORDS
from spanguard.guard import guards
from tge_monitor.feeds import FeedSource
from tge_monitor.fetching import Fetcher
from tge_monitor.mailer import Mailer, MailServer
from tge_monitor.matching import Matcher
from tge_monitor.monitor import DIGEST, DigestRounds, Monitor, Round, Source, run_round
from tge_monitor.other_ends import OtherEnds
from tge_monitor.other_ends.content import BEARER_TOKEN
from tge_monitor.store import Store
from tge_monitor.twitter import TwitterSource, search_query


@pytest.fixture
def database(tmp_path_factory: pytest.TempPathFactory) -> URL:
    """SQLite is enough here: the store's own tests run on both."""
    return make_url(f"sqlite:///{tmp_path_factory.mktemp('db') / 'tge.db'}")


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    """A fetcher of small bodies."""
    async with httpx.AsyncClient() as client:
        yield Fetcher(client, max_bytes=100_000)


@pytest.fixture
def twitter(other_ends: OtherEnds, fetcher: Fetcher) -> TwitterSource:
    """The posts of the other end."""
    return TwitterSource(other_ends.http.url, BEARER_TOKEN, search_query(KEYWORDS), fetcher, max_pages=3)


@pytest.fixture
def feed(other_ends: OtherEnds, fetcher: Fetcher) -> Callable[[str], FeedSource]:
    """A feed of the other end, by its path."""
    return lambda path: FeedSource(path.rsplit("/", 1)[-1], other_ends.http.url + path, fetcher)


@pytest.fixture
def poll(store: Store) -> Callable[[Source], Awaitable[Round]]:
    """Run one round of a source, as the monitor does."""

    async def run(source: Source) -> Round:
        monitor = Monitor([(source, 60.0)], Matcher(KEYWORDS, ["Acme Protocol"]), store)
        known = Round()
        await run_round(f"poll {source.name}", lambda: monitor.poll(source), 60.0, known)
        return known

    return run


@pytest.fixture
def digest(store: Store, other_ends: OtherEnds) -> DigestRounds:
    """Mail to the other end."""
    mailer = Mailer(MailServer("127.0.0.1", other_ends.mailbox.port, timeout=5.0))
    letters = guards.dead_letters(DIGEST)
    return DigestRounds(store, mailer, letters, sender="a@b.example", recipients=["c@d.example"], interval=60.0)
