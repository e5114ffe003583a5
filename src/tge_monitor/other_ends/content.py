"""What the HTTP service serves: posts in the shape of the Twitter API v2, feeds that are well and feeds that are not."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from xml.sax.saxutils import escape

TWITTER_PATH: Final = "/2/tweets/search/recent"
BEARER_TOKEN: Final = "demo-token"  # noqa: S105 - the token of a server that runs on loopback for a minute

_START: Final = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
_FIRST_ID: Final = 1_900_000_000_000_000_000
_AUTHORS: Final = ("tokenwatch", "chain_daily", "defi_desk")

_POSTS: Final = (
    "Acme Protocol confirms its token generation event for March",
    "Weather is fine today, nothing to see here",
    "Nimbus Labs: TGE date announced, airdrop for early users",
    "Our weekly thread on gas fees",
    "Rumour: token launch of Borealis Network next week",
)
_ENTRIES: Final = (
    ("Acme Protocol sets the date of its TGE", "The token generation event of Acme Protocol takes place in March."),
    ("Market report", "Prices moved sideways."),
    ("Nimbus Labs opens token sale registration", "Registration for the <b>token sale</b> runs for a week."),
)


class Content:
    """The documents by path; posts and feed entries can be added while it is served. Safe from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._posts = [_post(number, text) for number, text in enumerate(_POSTS)]
        self._entries = list(_ENTRIES)

    def add_post(self, text: str) -> None:
        """Publish a post; it becomes the newest."""
        with self._lock:
            self._posts.append(_post(len(self._posts), text))

    def add_entry(self, title: str, summary: str) -> None:
        """Publish an entry in the good feeds; it becomes the newest."""
        with self._lock:
            self._entries.append((title, summary))

    def search(self, query: Mapping[str, str]) -> bytes:
        """Return one page of posts, newest first."""
        with self._lock:
            posts = self._posts[::-1]
        size = min(100, max(1, int(query.get("max_results", "10"))))
        start = int(query.get("next_token", "t0")[1:])
        page = posts[start : start + size]
        meta: dict[str, Any] = {"result_count": len(page)}
        if start + size < len(posts):
            meta["next_token"] = f"t{start + size}"
        users = [{"id": str(number), "username": name} for number, name in enumerate(_AUTHORS)]
        return json.dumps({"data": page, "includes": {"users": users}, "meta": meta}).encode()

    def feeds(self) -> dict[str, tuple[str, bytes]]:
        """Return content type and body of every feed by its path."""
        with self._lock:
            entries = list(enumerate(self._entries))[::-1]
        rss = _rss("".join(_rss_item(number, *entry) for number, entry in entries))
        broken = "".join(_rss_item(number, *entry) for number, entry in entries[:2])
        return {
            "/feeds/rss": ("application/rss+xml; charset=utf-8", rss.encode()),
            "/feeds/atom": ("application/atom+xml; charset=utf-8", _atom(entries).encode()),
            "/feeds/malformed": ("application/rss+xml", _rss(f"{broken}<item><title>Cut off & left").encode()[:-20]),
            "/feeds/wrong_encoding": ("application/rss+xml; charset=utf-8", _wrongly_encoded()),
            "/feeds/duplicates": (
                "application/rss+xml",
                _rss("".join(_rss_item(0, *self._entries[0]) for _ in range(5))).encode(),
            ),
            "/feeds/entity_bomb": ("application/rss+xml", _entity_bomb()),
            "/feeds/not_a_feed": ("text/html", b"<!DOCTYPE html><html><body>Moved.</body></html>"),
        }


def _post(number: int, text: str) -> dict[str, str]:
    moment = _START + timedelta(minutes=number)
    return {
        "id": str(_FIRST_ID + number),
        "text": text,
        "author_id": str(number % len(_AUTHORS)),
        "created_at": moment.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    }


def _rss(items: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0"><channel><title>Token news</title>'
        f"<link>https://news.example/</link><description>News</description>{items}</channel></rss>"
    )


def _rss_item(number: int, title: str, summary: str) -> str:
    moment = _START + timedelta(hours=number)
    return (
        f"<item><title>{escape(title)}</title><link>https://news.example/{number}</link>"
        f"<guid>https://news.example/{number}</guid><description>{escape(summary)}</description>"
        f"<pubDate>{moment:%a, %d %b %Y %H:%M:%S} +0000</pubDate></item>"
    )


def _atom(entries: list[tuple[int, tuple[str, str]]]) -> str:
    body = "".join(
        f"<entry><title>{escape(title)}</title><id>urn:example:{number}</id>"
        f'<link href="https://atom.example/{number}"/><updated>{_START + timedelta(hours=number):%Y-%m-%dT%H:%M:%SZ}</updated>'
        f'<summary type="html">{escape(summary)}</summary></entry>'
        for number, (title, summary) in entries
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom"><title>Token news</title>'
        f"<id>urn:example:feed</id><updated>{_START:%Y-%m-%dT%H:%M:%SZ}</updated>{body}</feed>"
    )


def _wrongly_encoded() -> bytes:
    good = _rss_item(100, "Token launch without accents", "Plain text.")
    bad = _rss_item(101, "Zürich: token launch à la carte", "Latin-1 where UTF-8 was promised.")
    return _rss(good + bad).encode("latin-1")


def _entity_bomb() -> bytes:
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    return (
        f'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY l0 "token launch">{levels}]>'
        "<rss version='2.0'><channel><item><title>&l9;</title><link>https://news.example/b</link></item></channel></rss>"
    ).encode()
