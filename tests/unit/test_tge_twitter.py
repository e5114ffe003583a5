"""Pages of posts as bytes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tge_monitor.model import Batch, Reason
from tge_monitor.twitter import MAX_QUERY, Page, read_page, search_query


def page(*posts: Any, **more: Any) -> bytes:
    return json.dumps({"data": list(posts), **more}).encode()


POST = {"id": "12", "text": "TGE\nsoon", "author_id": "7", "created_at": "2026-01-05T09:00:00.000Z"}


def test_a_post_is_read_with_its_author() -> None:
    read = read_page(page(POST, includes={"users": [{"id": "7", "username": "acme"}]}))
    (item,) = read.batch.items
    assert (item.title, item.summary, item.link) == ("@acme: TGE soon", "", "https://x.com/i/status/12")
    assert item.published_at == datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


def test_a_post_without_a_known_author_is_read_too() -> None:
    assert [item.title for item in read_page(page(POST)).batch.items] == ["TGE soon"]


def test_a_post_too_long_for_a_title_is_kept_whole() -> None:
    (item,) = read_page(page(POST | {"text": "TGE " * 100})).batch.items
    assert (len(item.title), item.summary) == (300, ("TGE " * 100).strip())


def test_the_token_of_the_next_page_is_found() -> None:
    assert read_page(page(meta={"next_token": "abc"})).next_token == "abc"
    assert read_page(page(meta={"result_count": 0})).next_token == ""


@pytest.mark.parametrize(
    ("post", "reason"),
    [
        ("x", Reason.MALFORMED),
        ({"text": "no id"}, Reason.INCOMPLETE),
        ({"id": "12"}, Reason.INCOMPLETE),
        ({"id": "../12", "text": "x"}, Reason.INCOMPLETE),
        ({"id": "12", "text": "\u202e\x00"}, Reason.INCOMPLETE),
    ],
)
def test_a_bad_post_is_refused_and_the_rest_goes_on(post: Any, reason: Reason) -> None:
    batch = read_page(page(post, POST)).batch
    assert (batch.refused, len(batch.items)) == ((reason,), 1)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", Reason.MALFORMED),
        (b"[]", Reason.MALFORMED),
        (b"[" * 100_000, Reason.MALFORMED),
        (b'{"data": "\xff"}', Reason.WRONG_ENCODING),
    ],
)
def test_a_page_that_is_none_is_refused(body: bytes, reason: Reason) -> None:
    assert read_page(body) == Page(Batch(refused=(reason,)), "")


def test_a_search_finds_any_of_the_phrases() -> None:
    assert search_query(["TGE", 'token "sale"']) == '("TGE" OR "token  sale") -is:retweet'


@given(st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=40))
def test_a_search_is_never_longer_than_the_endpoint_takes(keywords: list[str]) -> None:
    assert len(search_query(keywords)) <= MAX_QUERY


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["data", "includes", "users", "meta", "id", "text", "created_at", "next_token", "username"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(_JSON | st.dictionaries(st.sampled_from(["data", "includes", "meta"]), _JSON))
def test_no_document_makes_it_raise(document: Any) -> None:
    read_page(json.dumps(document).encode())


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(body: bytes) -> None:
    read_page(body)
