"""Requests over real connections, against a service that breaks them on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from spanguard.testing import Signals
from tge_monitor.fetching import Fetcher, ServerFaultError
from tge_monitor.model import RefusedError, ThrottledError
from tge_monitor.other_ends import Fault, FaultKind, OtherEnds

RSS = "/feeds/rss"


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    """A fetcher of small bodies."""
    async with httpx.AsyncClient() as client:
        yield Fetcher(client, max_bytes=100_000)


async def test_a_good_answer_comes_whole(other_ends: OtherEnds, fetcher: Fetcher) -> None:
    reply = await fetcher.get(other_ends.http.url + RSS)
    assert (reply.status, reply.is_too_large) == (200, False)
    assert reply.body == other_ends.http.content.feeds()[RSS][1]
    assert other_ends.http.faults.served() == {RSS: {"200": 1}}


@pytest.mark.parametrize(
    ("fault", "error", "outcome"),
    [
        (Fault(FaultKind.STATUS, status=503), ServerFaultError, "503"),
        (Fault(FaultKind.RESET), httpx.TransportError, "reset"),
        (Fault(FaultKind.TRUNCATED), httpx.RemoteProtocolError, "truncated"),
    ],
)
async def test_what_the_server_does_wrong_is_raised(
    other_ends: OtherEnds, fetcher: Fetcher, fault: Fault, error: type[Exception], outcome: str
) -> None:
    other_ends.http.faults.break_path(RSS, fault)
    with pytest.raises(error):
        await fetcher.get(other_ends.http.url + RSS)
    assert other_ends.http.faults.served() == {RSS: {outcome: 1}}


async def test_a_huge_body_is_not_read_to_its_end(other_ends: OtherEnds, fetcher: Fetcher) -> None:
    other_ends.http.faults.break_path(RSS, Fault(FaultKind.HUGE, size=10**12))
    reply = await fetcher.get(other_ends.http.url + RSS)
    assert (reply.is_too_large, reply.body) == (True, b"")


async def test_nobody_there_is_a_connection_error(fetcher: Fetcher) -> None:
    with pytest.raises(httpx.ConnectError):
        await fetcher.get("http://127.0.0.1:1/")


@pytest.mark.parametrize(("retry_after", "seconds"), [("7", 7.0), ("", None)])
async def test_a_throttled_request_says_when_to_come_back(
    other_ends: OtherEnds, fetcher: Fetcher, retry_after: str, seconds: float | None
) -> None:
    other_ends.http.faults.break_path(RSS, Fault(FaultKind.STATUS, status=429, retry_after=retry_after))
    reply = await fetcher.get(other_ends.http.url + RSS)
    with pytest.raises(ThrottledError) as caught:
        reply.raise_for_refusal()
    assert caught.value.retry_after == seconds


async def test_a_refused_request_is_no_fault_of_the_server(other_ends: OtherEnds, fetcher: Fetcher) -> None:
    reply = await fetcher.get(other_ends.http.url + "/feeds/none")
    with pytest.raises(RefusedError):
        reply.raise_for_refusal()


async def test_the_span_tells_where_and_how_and_no_query(
    other_ends: OtherEnds, fetcher: Fetcher, signals: Signals
) -> None:
    await fetcher.get(other_ends.http.url + RSS, params={"token": "hunter2"}, headers={"Authorization": "hunter2"})
    (span,) = signals.spans("GET")
    assert (span.kind, span.status, span.scope) == ("client", "unset", "tge_monitor")
    assert span.attributes["http.response.status_code"] == 200
    assert span.attributes["server.address"] == "127.0.0.1"
    assert "hunter2" not in repr(span)


async def test_the_span_of_a_failed_request_says_so(other_ends: OtherEnds, fetcher: Fetcher, signals: Signals) -> None:
    other_ends.http.faults.break_path(RSS, Fault(FaultKind.STATUS, status=503))
    with pytest.raises(ServerFaultError):
        await fetcher.get(other_ends.http.url + RSS)
    (span,) = signals.spans("GET")
    assert (span.status, span.attributes["http.response.status_code"]) == ("error", 503)


async def test_a_fault_for_some_requests_is_used_up(other_ends: OtherEnds, fetcher: Fetcher) -> None:
    other_ends.http.faults.break_path(RSS, Fault(FaultKind.STATUS, status=429, times=2))
    statuses = [(await fetcher.get(other_ends.http.url + RSS)).status for _ in range(3)]
    assert statuses == [429, 429, 200]
    assert other_ends.http.faults.served() == {RSS: {"429": 2, "200": 1}}


async def test_the_span_of_a_refused_request_says_so(other_ends: OtherEnds, fetcher: Fetcher, signals: Signals) -> None:
    await fetcher.get(other_ends.http.url + "/feeds/none")
    (span,) = signals.spans("GET")
    assert (span.status, span.attributes["error.type"]) == ("error", "404")
