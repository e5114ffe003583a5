"""Recent posts from an endpoint shaped like `GET /2/tweets/search/recent` of the Twitter API v2."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from spanguard.error_handling import CircuitBreakerError, LastGood
from spanguard.guard import guard
from tge_monitor.fetching import ANSWERED, OUTAGE, Fetcher, Reply
from tge_monitor.model import Batch, Item, Reason
from tge_monitor.text import MAX_SUMMARY, MAX_TITLE, one_line

SOURCE: Final = "twitter_api"
PATH: Final = "/2/tweets/search/recent"
MAX_QUERY: Final = 512
"""Characters that the endpoint takes as a query with the basic access level."""

_PAGE_SIZE: Final = 100
_ID: Final = re.compile(r"[0-9]{1,19}")
_USERNAME: Final = re.compile(r"[A-Za-z0-9_]{1,15}")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of an answer; `next_token` is empty on the last one."""

    batch: Batch
    next_token: str


class TwitterSource:
    """The search, behind the guard `twitter_api`. While the API is out, the last good posts stand in, for ten minutes.

    Args:
        base_url: the API, without a path.
        bearer_token: the application's token; it is sent and never shown.
        query: what to search for.
        fetcher: makes the requests.
        max_pages: pages that one poll reads at most.
    """

    def __init__(self, base_url: str, bearer_token: str, query: str, fetcher: Fetcher, *, max_pages: int) -> None:
        self.name = SOURCE
        self._url = base_url.rstrip("/") + PATH
        self._headers = {"Authorization": f"Bearer {bearer_token}"}
        self._query = query
        self._fetcher = fetcher
        self._max_pages = max_pages

    async def poll(self) -> AsyncIterator[Batch]:
        """Read the newest pages, each a batch: what was read before a failure is not lost.

        Raises:
            RateLimitExceededError: there was no permit in time.
            ThrottledError, RefusedError: the API does not want to answer this.
            CircuitBreakerError, ServerFaultError, TimeoutError, httpx.TransportError: it cannot, and there are no last
                good posts.
        """
        token = ""
        for _ in range(self._max_pages):
            page = await self._read_page(token)
            yield page.batch
            token = page.next_token
            if not token:
                return

    async def _read_page(self, token: str) -> Page:
        reply = await self._fetch(token)
        if reply.is_too_large:
            return Page(Batch(refused=(Reason.TOO_LARGE,)), "")
        return read_page(reply.body)

    @guard(
        "twitter_api",
        retry_on=OUTAGE,
        exclude=ANSWERED,
        fallback=LastGood(max_age=600, on=(*OUTAGE, CircuitBreakerError)),
    )
    async def _fetch(self, token: str) -> Reply:
        parameters = {
            "query": self._query,
            "max_results": str(_PAGE_SIZE),
            "tweet.fields": "created_at,author_id",
            "expansions": "author_id",
            "user.fields": "username",
        }
        if token:
            parameters["next_token"] = token
        reply = await self._fetcher.get(self._url, params=parameters, headers=self._headers)
        reply.raise_for_refusal()
        return reply


def search_query(keywords: Iterable[str]) -> str:
    """Return the search for any of the keywords, each as a phrase, without reposts; as many as the endpoint takes."""
    tail = " -is:retweet"
    phrases: list[str] = []
    for keyword in keywords:
        phrase = '"' + keyword.replace('"', " ").strip() + '"'
        if len(" OR ".join([*phrases, phrase])) + len("()") + len(tail) > MAX_QUERY:
            break
        phrases.append(phrase)
    return f"({' OR '.join(phrases)}){tail}"


def read_page(body: bytes) -> Page:
    """Read one page; never raises, whatever the bytes are."""
    try:
        document = json.loads(body)
    except UnicodeDecodeError:
        return Page(Batch(refused=(Reason.WRONG_ENCODING,)), "")
    except (ValueError, RecursionError):
        return Page(Batch(refused=(Reason.MALFORMED,)), "")
    if not isinstance(document, dict):
        return Page(Batch(refused=(Reason.MALFORMED,)), "")
    users = _usernames(_member(document, "includes"))
    read = [_read_post(post, users) for post in _list(document, "data")]
    token = _member(document, "meta").get("next_token")
    return Page(
        Batch(
            tuple(post for post in read if isinstance(post, Item)),
            tuple(post for post in read if isinstance(post, Reason)),
        ),
        token if isinstance(token, str) else "",
    )


def _read_post(post: Any, users: dict[str, str]) -> Item | Reason:
    if not isinstance(post, dict):
        return Reason.MALFORMED
    identity, raw = post.get("id"), post.get("text")
    if not isinstance(identity, str) or not isinstance(raw, str):
        return Reason.INCOMPLETE
    text = one_line(raw, MAX_SUMMARY)
    if not _ID.fullmatch(identity) or not text:
        return Reason.INCOMPLETE
    author = users.get(str(post.get("author_id")), "")
    whole = f"@{author}: {text}" if author else text
    title = one_line(whole, MAX_TITLE)
    # This address stays the same when the author takes another name.
    link = f"https://x.com/i/status/{identity}"
    return Item(SOURCE, link, title, "" if title == whole else text, _created(post.get("created_at")))


def _usernames(includes: dict[str, Any]) -> dict[str, str]:
    return {
        str(user.get("id")): user["username"]
        for user in _list(includes, "users")
        if isinstance(user, dict) and _USERNAME.fullmatch(str(user.get("username", "")))
    }


def _created(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _member(document: dict[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _list(document: dict[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    return value if isinstance(value, list) else []
