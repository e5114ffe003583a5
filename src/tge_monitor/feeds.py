"""RSS and Atom feeds: bytes from anywhere in, items and reasons out."""

from __future__ import annotations

import asyncio
import calendar
import io
import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from email.message import Message
from typing import Any, Final

import feedparser

from spanguard.guard import guard
from tge_monitor.fetching import ANSWERED, OUTAGE, Fetcher, Reply
from tge_monitor.model import Batch, Item, Reason
from tge_monitor.text import MAX_SUMMARY, MAX_TITLE, is_web_link, text_of_markup

MAX_ITEMS: Final = 500
"""Items taken from one feed at a time."""

_BOMS: Final = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_XML_DECLARATION: Final = re.compile(rb"""^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_DECLARED_ENCODING: Final = re.compile(r"""^\s*<\?xml[^>]{0,200}?\?>""")
# Python knows codecs in which "<" can be written in other ways, and some that do more than decode.
_ENCODINGS: Final = re.compile(r"utf-?8|us-?ascii|utf-?(16|32)(-?[lb]e)?|iso-?8859-\d{1,2}|windows-?125\d|koi8-[ru]")
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


class FeedSource:
    """One feed, behind the guard `news_feeds` that all feeds share.

    Args:
        name: the source in signals and in the store.
        url: where the feed is.
        fetcher: makes the requests.
    """

    def __init__(self, name: str, url: str, fetcher: Fetcher) -> None:
        self.name = name
        self._url = url
        self._fetcher = fetcher

    async def poll(self) -> AsyncIterator[Batch]:
        """Fetch the feed and read it: one batch.

        Raises:
            RateLimitExceededError, BulkheadFullError: there was no permit in time.
            CircuitBreakerError: the breaker is open.
            ThrottledError, RefusedError: the server does not want to answer this.
            ServerFaultError, TimeoutError, httpx.TransportError: it cannot.
        """
        reply = await self._fetch()
        if reply.is_too_large:
            yield Batch(refused=(Reason.TOO_LARGE,))
        else:
            # Reading a large feed takes a while, and the other sources have their own.
            yield await asyncio.to_thread(read_feed, self.name, reply.body, reply.headers)

    @guard("news_feeds", retry_on=OUTAGE, exclude=ANSWERED)
    async def _fetch(self) -> Reply:
        reply = await self._fetcher.get(self._url)
        reply.raise_for_refusal()
        return reply


def read_feed(source: str, body: bytes, headers: Mapping[str, str] | None = None) -> Batch:
    """Read a feed of any version; never raises, whatever the bytes are.

    A character that is not what the encoding says spoils the item it stands in and no other. A document that declares
    entities of its own is refused whole: no feed needs them, and a few lines of them can fill a memory.

    Args:
        source: the source that the items will name.
        body: what was fetched.
        headers: the HTTP headers, lower case; of these `content-type` and `content-encoding` matter.
    """
    headers = headers or {}
    if headers.get("content-encoding", "identity").lower() not in {"", "identity"}:
        return Batch(refused=(Reason.WRONG_ENCODING,))
    text = _decode(body, headers.get("content-type", ""))
    if "<!entity" in text.lower():
        return Batch(refused=(Reason.HOSTILE_XML,))
    try:
        parsed = feedparser.parse(
            io.BytesIO(text.encode("utf-8", "replace")),
            response_headers={"content-type": "application/xml; charset=utf-8"},
            sanitize_html=False,
            resolve_relative_uris=False,
        )
    except Exception:  # noqa: BLE001 - a parser of anything meets input nobody thought of; this is its answer to it
        return Batch(refused=(Reason.MALFORMED,))
    if not parsed.get("version") and not parsed.entries:
        return Batch(refused=(Reason.NOT_A_FEED,))
    batch = Batch(refused=(Reason.MALFORMED,)) if parsed.bozo else Batch()
    if len(parsed.entries) > MAX_ITEMS:
        batch += Batch(refused=(Reason.TOO_MANY,) * (len(parsed.entries) - MAX_ITEMS))
    read = [_read_entry(source, entry) for entry in parsed.entries[:MAX_ITEMS]]
    items = tuple(entry for entry in read if isinstance(entry, Item))
    return batch + Batch(items, tuple(entry for entry in read if isinstance(entry, Reason)))


def _read_entry(source: str, entry: Any) -> Item | Reason:
    content = entry.get("content") or [{}]
    title = text_of_markup(entry.get("title", ""), MAX_TITLE)
    summary = text_of_markup(entry.get("summary", "") or content[0].get("value", ""), MAX_SUMMARY)
    link = entry.get("link", "").strip()
    if _REPLACEMENT in title + summary + link:
        return Reason.WRONG_ENCODING
    if not title or not link:
        return Reason.INCOMPLETE
    if not is_web_link(link):
        return Reason.BAD_LINK
    return Item(source, link, title, summary, _published(entry))


def _published(entry: Any) -> datetime | None:
    moment = next((entry[key] for key in ("published_parsed", "updated_parsed") if key in entry), None)
    if moment is None:
        return None
    try:
        return datetime.fromtimestamp(calendar.timegm(moment), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _decode(body: bytes, content_type: str) -> str:
    """Decode by byte order mark, HTTP header, XML declaration, UTF-8, in that order; what cannot be read is replaced."""
    for mark, encoding in _BOMS:
        if body.startswith(mark):
            return _redeclared(body[len(mark) :].decode(encoding, "replace"))
    message = Message()
    message["content-type"] = content_type
    in_document = _XML_DECLARATION.match(body)
    declared = message.get_content_charset() or (in_document[1].decode("ascii").lower() if in_document else "utf-8")
    encoding = declared if _ENCODINGS.fullmatch(declared) else "utf-8"
    try:
        return _redeclared(body.decode(encoding, "replace"))
    except LookupError:
        return _redeclared(body.decode("utf-8", "replace"))


def _redeclared(text: str) -> str:
    """Take away an XML declaration: what it says about the encoding is no longer true."""
    return _DECLARED_ENCODING.sub("", text, count=1)
