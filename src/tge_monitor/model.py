"""What the parts of the monitor hand to each other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Reason(StrEnum):
    """Why something that a source sent was refused. Each is counted and logged; the rest of the batch goes on."""

    MALFORMED = "malformed"
    NOT_A_FEED = "not_a_feed"
    HOSTILE_XML = "hostile_xml"
    WRONG_ENCODING = "wrong_encoding"
    TOO_LARGE = "too_large"
    TOO_MANY = "too_many"
    INCOMPLETE = "incomplete"
    BAD_LINK = "bad_link"


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of news or one post, as plain text. `published_at` is in UTC, None where the source gave no usable date."""

    source: str
    link: str
    title: str
    summary: str
    published_at: datetime | None

    @property
    def fingerprint(self) -> str:
        """What makes it the same item, over sources, polls and restarts: where it is found, whatever part of the page."""
        return hashlib.sha256(self.link.partition("#")[0].encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Batch:
    """What one poll brought: items, and one reason for each thing refused."""

    items: tuple[Item, ...] = ()
    refused: tuple[Reason, ...] = ()

    def __add__(self, other: Batch) -> Batch:
        return Batch(self.items + other.items, self.refused + other.refused)


@dataclass(frozen=True, slots=True)
class Match:
    """Why an item is an announcement: one sentence a hit, and their weight in all."""

    score: int
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Announcement:
    """A stored announcement; times are in UTC, `mailed_at` is None until a mail server took it."""

    id: int
    source: str
    link: str
    title: str
    summary: str
    published_at: datetime | None
    seen_at: datetime
    score: int
    why: Sequence[str]
    mailed_at: datetime | None


class ThrottledError(Exception):
    """The other end said 429: it is well, and wants to be left alone for a while.

    Attributes:
        retry_after: seconds until it may be asked again; None where it did not say.
    """

    def __init__(self, retry_after: float | None) -> None:
        self.retry_after = retry_after
        super().__init__(
            "asked to slow down" if retry_after is None else f"asked to come back in {retry_after:.0f} seconds"
        )


class RefusedError(Exception):
    """The other end will not answer this request, however often it is asked: a wrong token, a feed that moved.

    Attributes:
        status: the HTTP status, from 300 to 499.
    """

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"refused with HTTP status {status}")
