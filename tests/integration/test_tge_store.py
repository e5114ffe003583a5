"""Announcements in SQLite and in PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from integration.conftest import ChangeGuards
from spanguard.error_handling import CircuitBreakerError, circuit_breakers
from spanguard.errors import ResourceUnavailableError
from tge_monitor.model import Item, Match
from tge_monitor.store import Store

MATCH = Match(3, ("keyword 'TGE' in the title",))
PUBLISHED = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


def items(*numbers: int, source: str = "rss") -> list[tuple[Item, Match]]:
    return [
        (Item(source, f"https://a.example/{n}", f"TGE {n}", f"100% of summary {n}", PUBLISHED), MATCH) for n in numbers
    ]


async def test_what_was_stored_comes_back_as_it_was(store: Store) -> None:
    assert await store.add(items(1)) == 1
    (found,) = await store.page(limit=10)
    assert (found.title, found.link, found.published_at) == ("TGE 1", "https://a.example/1", PUBLISHED)
    assert (found.score, tuple(found.why), found.mailed_at) == (3, MATCH.why, None)
    assert found.seen_at.tzinfo is UTC


async def test_an_announcement_is_stored_once(store: Store) -> None:
    assert await store.add(items(1, 2, 2)) == 2
    assert await store.add(items(2, 3)) == 1
    assert await store.counts() == {"stored": 3, "unmailed": 3}


async def test_it_is_stored_once_over_a_restart(store: Store, database: URL) -> None:
    await store.add(items(1))
    again = Store(database)
    await again.create_tables()
    assert await again.add(items(1)) == 0
    await again.close()


async def test_many_writers_at_once_store_each_once(store: Store) -> None:
    stored = await asyncio.gather(*(store.add(items(*range(n, n + 20))) for n in range(10)))
    assert sum(stored) == 29
    assert await store.counts() == {"stored": 29, "unmailed": 29}


async def test_what_was_mailed_is_unmailed_no_more(store: Store) -> None:
    await store.add(items(1, 2, 3))
    first, second, _ = await store.unmailed(10)
    await store.mark_mailed([first.id, second.id])
    assert [one.title for one in await store.unmailed(10)] == ["TGE 3"]
    assert await store.counts() == {"stored": 3, "unmailed": 1}


async def test_what_is_in_other_hands_is_left_out(store: Store) -> None:
    await store.add(items(1, 2, 3))
    first, _, third = await store.unmailed(10)
    assert [one.title for one in await store.unmailed(10, besides=[first.id, third.id])] == ["TGE 2"]


async def test_announcements_are_found_by_their_ids(store: Store) -> None:
    await store.add(items(1, 2, 3))
    first, _, third = await store.unmailed(10)
    assert [one.title for one in await store.find([third.id, first.id, 99])] == ["TGE 1", "TGE 3"]


async def test_the_oldest_are_mailed_first(store: Store) -> None:
    await store.add(items(5))
    await store.add(items(4))
    assert [one.title for one in await store.unmailed(1)] == ["TGE 5"]


async def test_pages_follow_each_other_without_gap(store: Store) -> None:
    await store.add(items(*range(5)))
    first = await store.page(limit=3)
    second = await store.page(limit=3, before=first[-1].id)
    assert len({one.id for one in [*first, *second]}) == 5
    assert [one.id for one in [*first, *second]] == sorted((one.id for one in [*first, *second]), reverse=True)


async def test_a_page_can_be_of_one_source_and_of_some_words(store: Store) -> None:
    await store.add(items(1) + items(2, source="atom"))
    assert [one.title for one in await store.page(limit=9, source="atom")] == ["TGE 2"]
    assert [one.title for one in await store.page(limit=9, words="SUMMARY 1")] == ["TGE 1"]


async def test_wildcards_in_words_mean_themselves(store: Store) -> None:
    await store.add(items(1))
    assert await store.page(limit=9, words="100_ of") == []
    assert len(await store.page(limit=9, words="100% of")) == 1
    assert await store.page(limit=9, words="' OR 1=1 --") == []


async def test_a_database_that_cannot_be_reached_is_one_clear_message() -> None:
    store = Store(make_url("postgresql+psycopg://tge:hunter2@127.0.0.1:1/tge"))
    with pytest.raises(ResourceUnavailableError) as caught:
        await store.create_tables()
    assert "TGE_DATABASE_URL is postgresql+psycopg://tge:***@127.0.0.1:1/tge" in str(caught.value)
    assert not await store.is_reachable()


async def test_the_breaker_opens_when_the_database_goes_away(guards: None) -> None:
    store = Store(make_url("postgresql+psycopg://tge@127.0.0.1:1/tge"))
    for _ in range(2):  # of two attempts each
        with pytest.raises(SQLAlchemyError):
            await store.counts()
    with pytest.raises(CircuitBreakerError):
        await store.counts()
    with pytest.raises(CircuitBreakerError):
        await store.counts()
    stats = circuit_breakers.get("database").stats()
    assert (stats.state, stats.failure, stats.rejected) == ("open", 5, 1)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_a_database_that_keeps_silent_is_given_up(
    store: Store, database: URL, change_guards: ChangeGuards
) -> None:
    change_guards(SPANGUARD_TIMEOUTS__DATABASE__SECONDS="0.3")
    locker = create_engine(database)
    with locker.begin() as connection:
        connection.execute(text("LOCK TABLE announcements IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(TimeoutError):
            await store.counts()
    locker.dispose()
    assert await store.counts() == {"stored": 0, "unmailed": 0}
    assert circuit_breakers.get("database").stats().failure == 1
