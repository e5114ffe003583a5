"""Feeds as bytes: what is read, what is refused and why."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tge_monitor.feeds import MAX_ITEMS, read_feed
from tge_monitor.model import Batch, Reason
from tge_monitor.other_ends import HttpService
from tge_monitor.other_ends.content import Content


def rss(*items: str, head: str = '<?xml version="1.0"?>') -> str:
    return f'{head}<rss version="2.0"><channel><title>t</title>{"".join(items)}</channel></rss>'


def entry(title: str = "Title", link: str = "https://a.example/1", more: str = "") -> str:
    return f"<item><title>{title}</title><link>{link}</link>{more}</item>"


def served(path: str) -> Batch:
    content_type, body = Content().feeds()[path]
    return read_feed("rss", body, {"content-type": content_type})


@pytest.mark.parametrize("path", ["/feeds/rss", "/feeds/atom"])
def test_rss_and_atom_are_read_whole(path: str) -> None:
    batch = served(path)
    assert batch.refused == ()
    assert [item.title for item in batch.items] == [
        "Nimbus Labs opens token sale registration",
        "Market report",
        "Acme Protocol sets the date of its TGE",
    ]
    assert batch.items[0].summary == "Registration for the token sale runs for a week."
    assert batch.items[2].published_at == datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


def test_a_malformed_feed_is_reported_and_its_good_items_are_kept() -> None:
    batch = served("/feeds/malformed")
    assert Reason.MALFORMED in batch.refused
    assert [item.title for item in batch.items][:2] == ["Nimbus Labs opens token sale registration", "Market report"]


def test_a_wrong_encoding_spoils_the_item_it_is_in_and_no_other() -> None:
    batch = served("/feeds/wrong_encoding")
    assert batch.refused == (Reason.WRONG_ENCODING,)
    assert [item.title for item in batch.items] == ["Token launch without accents"]


def test_a_feed_with_entities_of_its_own_is_refused_whole() -> None:
    assert served("/feeds/entity_bomb") == Batch(refused=(Reason.HOSTILE_XML,))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_no_encoding_hides_an_entity(encoding: str) -> None:
    text = rss(entry("&x;"), head='<!DOCTYPE rss [<!ENTITY x "y">]>')
    assert read_feed("rss", text.encode(encoding)).refused == (Reason.HOSTILE_XML,)


@pytest.mark.parametrize("encoding", ["utf-7", "cp037", "unicode_escape", "hz", "idna", "rot13", "no-such-thing"])
def test_encodings_that_hide_signs_are_read_as_utf_8(encoding: str) -> None:
    body = rss(entry("plain")).encode()
    assert [i.title for i in read_feed("rss", body, {"content-type": f"text/xml; charset={encoding}"}).items] == [
        "plain"
    ]


@pytest.mark.parametrize("encoding", ["iso-8859-1", "windows-1252", "utf-8", "utf-16"])
def test_the_declared_encoding_is_honoured(encoding: str) -> None:
    body = rss(entry("Zürich"), head=f'<?xml version="1.0" encoding="{encoding}"?>').encode(encoding)
    assert [item.title for item in read_feed("rss", body).items] == ["Zürich"]


def test_the_header_says_more_than_the_document() -> None:
    body = rss(entry("Zürich"), head='<?xml version="1.0" encoding="utf-8"?>').encode("latin-1")
    batch = read_feed("rss", body, {"content-type": "text/xml; charset=ISO-8859-1"})
    assert [item.title for item in batch.items] == ["Zürich"]


def test_a_page_is_not_a_feed() -> None:
    assert served("/feeds/not_a_feed") == Batch(refused=(Reason.NOT_A_FEED,))


def test_a_compressed_body_that_nobody_asked_for_is_refused() -> None:
    assert read_feed("rss", b"\x1f\x8b", {"content-encoding": "gzip"}).refused == (Reason.WRONG_ENCODING,)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (entry(title=""), Reason.INCOMPLETE),
        (entry(link=""), Reason.INCOMPLETE),
        (entry(link="javascript:alert(1)"), Reason.BAD_LINK),
        (entry(link="https://u:p@a.example/"), Reason.BAD_LINK),
    ],
)
def test_a_bad_item_is_refused_and_the_rest_goes_on(item: str, reason: Reason) -> None:
    batch = read_feed("rss", rss(item, entry("Good")).encode())
    assert (batch.refused, [good.title for good in batch.items]) == ((reason,), ["Good"])


def test_a_date_that_is_none_is_no_reason_to_refuse() -> None:
    (item,) = read_feed("rss", rss(entry(more="<pubDate>soon</pubDate>")).encode()).items
    assert item.published_at is None


def test_items_beyond_the_limit_are_refused() -> None:
    body = rss(*(entry(link=f"https://a.example/{n}") for n in range(MAX_ITEMS + 3))).encode()
    batch = read_feed("rss", body)
    assert (len(batch.items), batch.refused) == (MAX_ITEMS, (Reason.TOO_MANY,) * 3)


def test_parts_of_one_page_are_one_item() -> None:
    batch = read_feed("rss", rss(entry(link="https://a.example/1#x"), entry(link="https://a.example/1")).encode())
    assert len({item.fingerprint for item in batch.items}) == 1


@given(st.binary(max_size=400), st.text(max_size=40))
@example(b"<rss><channel><item><link>http://[</link><title>x</title>", "")
@example(b"\xff\xfe\x00", "text/xml; charset=utf-16")
def test_no_bytes_make_it_raise(body: bytes, content_type: str) -> None:
    read_feed("rss", body, {"content-type": content_type})


_FRAGMENTS = [
    "<rss version='2.0'>", "<channel>", "</channel>", "<item>", "</item>", "<title>", "</title>", "<link>http://[x</link>",
    "<pubDate>99 Foo 99999</pubDate>", "<![CDATA[", "]]>", "<!--", "&#x110000;", "&amp;", "<a:b xmlns:a='urn:'>", "\x00",
    "<feed xmlns='http://www.w3.org/2005/Atom'>", "<entry>", "<content type='xhtml'>", "<georss:point>1</georss:point>",
    "<media:content url='x'/>", "<updated>0000-00-00T99:99:99Z</updated>", "<!DOCTYPE x [", "<enclosure length='x'/>",
]  # fmt: skip


@given(st.lists(st.sampled_from(_FRAGMENTS), max_size=30))
def test_no_mixture_of_feed_parts_makes_it_raise(parts: list[str]) -> None:
    read_feed("rss", "".join(parts).encode())


def test_the_service_knows_a_feed_of_every_kind() -> None:
    with HttpService() as service:
        assert set(service.content.feeds()) >= {"/feeds/rss", "/feeds/atom", "/feeds/malformed", "/feeds/duplicates"}
