"""Rounds of the monitor behind its guards, against its real other ends."""

from __future__ import annotations

import asyncio

import pytest

from integration.conftest import ChangeGuards
from integration.tge_rounds.rounds import KEYWORDS, Feed, Poll, breaker_calls
from spanguard import semconv
from spanguard.testing import CapturedSpan, Signals
from tge_monitor import telemetry
from tge_monitor.fetching import Fetcher
from tge_monitor.matching import Matcher
from tge_monitor.monitor import Monitor, Round, repeat, run_round
from tge_monitor.other_ends import Fault, FaultKind, OtherEnds
from tge_monitor.other_ends.content import BEARER_TOKEN, TWITTER_PATH
from tge_monitor.store import Store
from tge_monitor.twitter import TwitterSource

STORM = Fault(FaultKind.STATUS, status=503)
POLL = "poll twitter_api"


def items(signals: Signals, source: str, outcome: str, reason: str | None = None) -> float:
    wanted = {telemetry.SOURCE: source, telemetry.OUTCOME: outcome}
    if reason is not None:
        wanted[telemetry.REASON] = reason
    return signals.increase(telemetry.ITEMS_METRIC, wanted)


def children(signals: Signals, parent: CapturedSpan) -> list[CapturedSpan]:
    return [span for span in signals.spans() if span.parent_id == parent.span_id]


async def test_announcements_are_stored_and_the_rest_is_not(poll: Poll, twitter: TwitterSource, store: Store) -> None:
    known = await poll(twitter)
    assert (known.rounds, known.failed, known.last_error) == (1, 0, "")
    titles = [one.title for one in await store.page(limit=9)]
    assert titles == [
        "@tokenwatch: Acme Protocol confirms its token generation event for March",
        "@defi_desk: Nimbus Labs: TGE date announced, airdrop for early users",
        "@chain_daily: Rumour: token launch of Borealis Network next week",
    ]


async def test_every_item_is_counted_by_what_became_of_it(poll: Poll, twitter: TwitterSource, signals: Signals) -> None:
    await poll(twitter)
    await poll(twitter)
    counted = [items(signals, "twitter_api", outcome) for outcome in ("stored", "duplicate", "unmatched", "refused")]
    assert counted == [3, 3, 4, 0]


async def test_all_pages_are_read(
    other_ends: OtherEnds, poll: Poll, twitter: TwitterSource, store: Store, signals: Signals
) -> None:
    for number in range(200):
        other_ends.http.content.add_post(f"TGE number {number}")
    await poll(twitter)
    assert other_ends.http.count_of(TWITTER_PATH) == 3
    assert (await store.counts())["stored"] == 203
    assert breaker_calls(signals, "twitter_api", "success") == 3


async def test_what_was_read_before_a_failure_is_stored(
    other_ends: OtherEnds, poll: Poll, twitter: TwitterSource, store: Store
) -> None:
    for number in range(200):
        other_ends.http.content.add_post(f"TGE number {number}")
    add = store.add

    async def add_and_break(*args: object) -> int:
        other_ends.http.faults.break_path(TWITTER_PATH, STORM)
        return await add(*args)  # type: ignore[arg-type]

    store.add = add_and_break  # type: ignore[method-assign, assignment]
    assert (await poll(twitter)).failed == 1
    assert (await store.counts())["stored"] == 100


async def test_one_poll_is_one_trace_with_the_guarded_call_below_the_poll(
    poll: Poll, twitter: TwitterSource, signals: Signals
) -> None:
    await poll(twitter)
    (root,) = signals.spans(POLL)
    assert (root.parent_id, root.scope, root.status) == ("", "tge_monitor", "unset")
    (guarded,) = [span for span in children(signals, root) if span.name == "guard twitter_api"]
    assert guarded.attributes[semconv.OUTCOME.key] == "success"
    (request,) = children(signals, guarded)
    assert (request.name, request.kind) == ("GET", "client")
    assert {span.trace_id for span in signals.spans()} == {root.trace_id}


async def test_a_storm_opens_the_breaker_with_exact_totals(
    other_ends: OtherEnds, poll: Poll, twitter: TwitterSource, signals: Signals
) -> None:
    other_ends.http.faults.break_path(TWITTER_PATH, STORM)
    for _ in range(9):
        assert (await poll(twitter)).failed == 1
    # Three attempts of the first poll, two of the second; the seven others were refused.
    assert other_ends.http.faults.served() == {TWITTER_PATH: {"503": 5}}
    assert breaker_calls(signals, "twitter_api", "failure") == 5
    assert breaker_calls(signals, "twitter_api", "rejected") == 7
    (event,) = signals.events(semconv.BREAKER_STATE_CHANGE_EVENT.name)
    assert event.attributes[semconv.BREAKER_TO.key] == "open"
    second = signals.spans(POLL)[1]
    assert (event.trace_id, second.status) == (second.trace_id, "error")


async def test_a_passing_fault_is_over_with_the_next_attempt(
    other_ends: OtherEnds, poll: Poll, twitter: TwitterSource, signals: Signals
) -> None:
    other_ends.http.faults.break_path(TWITTER_PATH, Fault(FaultKind.STATUS, status=503, times=2))
    known = await poll(twitter)
    assert (known.failed, known.degraded) == (0, 0)
    assert other_ends.http.faults.served() == {TWITTER_PATH: {"503": 2, "200": 1}}
    (guarded,) = signals.spans("guard twitter_api")
    assert (guarded.status, guarded.attributes[semconv.RETRY_ATTEMPTS.key]) == ("unset", 3)


async def test_while_the_api_is_out_the_last_good_posts_stand_in(
    other_ends: OtherEnds, poll: Poll, twitter: TwitterSource, store: Store, signals: Signals
) -> None:
    await poll(twitter)
    other_ends.http.faults.break_path(TWITTER_PATH, STORM)
    known = await poll(twitter)
    assert (known.rounds, known.failed, known.degraded) == (1, 0, 1)
    assert items(signals, "twitter_api", "duplicate") == 3
    (event,) = signals.events(semconv.DEGRADATION_EVENT.name)
    assert event.attributes[semconv.DEGRADATION_SOURCE.key] == "stale"


async def test_no_posts_stand_in_for_an_answer_that_says_no(
    other_ends: OtherEnds, poll: Poll, twitter: TwitterSource
) -> None:
    await poll(twitter)
    other_ends.http.faults.break_path(TWITTER_PATH, Fault(FaultKind.STATUS, status=403))
    known = await poll(twitter)
    assert (known.last_error, known.degraded) == ("tge_monitor.model.RefusedError", 0)


async def test_an_error_that_ends_a_round_is_counted_by_its_type(
    other_ends: OtherEnds, poll: Poll, twitter: TwitterSource, signals: Signals
) -> None:
    other_ends.http.faults.break_path(TWITTER_PATH, Fault(FaultKind.STATUS, status=403))
    await poll(twitter)
    wanted = {semconv.ERROR_TYPE.key: "tge_monitor.model.RefusedError", semconv.ERROR_HANDLED.key: True}
    assert signals.increase(semconv.ERRORS_METRIC.name, wanted) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault(FaultKind.RESET),
        Fault(FaultKind.TRUNCATED),
        Fault(FaultKind.DELAY, seconds=60),
        Fault(FaultKind.STATUS, status=500),
    ],
    ids=lambda fault: fault.kind.value,
)
async def test_every_fault_of_the_server_counts_as_a_failure(
    other_ends: OtherEnds, poll: Poll, feed: Feed, signals: Signals, fault: Fault, change_guards: ChangeGuards
) -> None:
    change_guards(SPANGUARD_TIMEOUTS__NEWS_FEEDS__SECONDS="0.3")
    other_ends.http.faults.break_path("/feeds/rss", fault)
    assert (await poll(feed("/feeds/rss"))).failed == 1
    (served,) = other_ends.http.faults.served()["/feeds/rss"].values()
    assert breaker_calls(signals, "news_feeds", "failure") == 3 == served


@pytest.mark.parametrize(
    ("path", "stored", "reasons"),
    [
        ("/feeds/malformed", 1, {"malformed": 1, "incomplete": 1}),
        ("/feeds/wrong_encoding", 1, {"wrong_encoding": 1}),
        ("/feeds/entity_bomb", 0, {"hostile_xml": 1}),
        ("/feeds/not_a_feed", 0, {"not_a_feed": 1}),
        ("/feeds/duplicates", 1, {}),
    ],
)
async def test_bad_content_is_refused_counted_and_logged_and_the_rest_goes_on(
    poll: Poll, feed: Feed, store: Store, signals: Signals, path: str, stored: int, reasons: dict[str, int]
) -> None:
    source = feed(path)
    assert (await poll(source)).failed == 0
    assert (await store.counts())["stored"] == stored
    events = signals.events(telemetry.ITEM_REFUSED_EVENT)
    assert {event.attributes[telemetry.REASON]: event.attributes[telemetry.COUNT] for event in events} == reasons
    assert {reason: items(signals, source.name, "refused", reason) for reason in reasons} == reasons
    assert breaker_calls(signals, "news_feeds", "success") == 1


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(FaultKind.HUGE, "too_large"), (FaultKind.GARBAGE, "not_a_feed"), (FaultKind.WRONG_ENCODING, "not_a_feed")],
)
async def test_a_body_that_is_none_is_refused_and_no_failure_of_the_server(
    other_ends: OtherEnds, poll: Poll, feed: Feed, signals: Signals, kind: FaultKind, reason: str
) -> None:
    other_ends.http.faults.break_path("/feeds/rss", Fault(kind))
    assert (await poll(feed("/feeds/rss"))).failed == 0
    assert items(signals, "rss", "refused", reason) == 1
    assert breaker_calls(signals, "news_feeds", "success") == 1


async def test_nothing_that_a_source_sent_is_in_a_signal(
    other_ends: OtherEnds, poll: Poll, twitter: TwitterSource, feed: Feed, signals: Signals
) -> None:
    other_ends.http.content.add_post("TGE hunter2")
    other_ends.http.content.add_entry("TGE hunter2", "hunter2")
    await poll(twitter)
    await poll(feed("/feeds/rss"))
    await poll(feed("/feeds/malformed"))
    told = repr([signals.spans(), signals.events(), signals.points(telemetry.ITEMS_METRIC)])
    assert "hunter2" not in told
    assert BEARER_TOKEN not in told


async def test_a_throttled_source_is_left_alone_for_as_long_as_it_says(
    other_ends: OtherEnds, twitter: TwitterSource, store: Store, signals: Signals
) -> None:
    fault = Fault(FaultKind.STATUS, status=429, retry_after="1234")
    other_ends.http.faults.break_path(TWITTER_PATH, fault)
    monitor = Monitor([(twitter, 0.05)], Matcher(KEYWORDS, []), store)
    known = Round()
    pause = await run_round(POLL, lambda: monitor.poll(twitter), 0.05, known)
    assert (pause, known.last_error) == (1234.0, "tge_monitor.model.ThrottledError")
    assert breaker_calls(signals, "twitter_api", "ignored") == 1 == other_ends.http.count_of(TWITTER_PATH, "429")


async def test_a_wrong_token_is_no_failure_of_the_server(
    other_ends: OtherEnds, fetcher: Fetcher, poll: Poll, signals: Signals
) -> None:
    source = TwitterSource(other_ends.http.url, "wrong", "TGE", fetcher, max_pages=1)
    assert (await poll(source)).last_error == "tge_monitor.model.RefusedError"
    assert breaker_calls(signals, "twitter_api", "failure") == 0


async def test_a_poll_without_a_permit_asks_nobody(
    other_ends: OtherEnds, poll: Poll, feed: Feed, signals: Signals, change_guards: ChangeGuards
) -> None:
    change_guards(
        SPANGUARD_RATE_LIMITERS__NEWS_SCRAPING__RATE="0.01",
        SPANGUARD_RATE_LIMITERS__NEWS_SCRAPING__BURST="1",
        SPANGUARD_GUARDS__NEWS_FEEDS__MAX_WAIT="0.1",
    )
    source = feed("/feeds/rss")
    assert (await poll(source)).failed == 0
    assert (await poll(source)).last_error == "spanguard.rate_limiter.errors.RateLimitExceededError"
    assert other_ends.http.count_of("/feeds/rss") == 1
    assert breaker_calls(signals, "news_feeds", "success") == 1


async def test_a_wait_for_a_permit_is_a_span_below_the_guarded_call(
    poll: Poll, feed: Feed, signals: Signals, change_guards: ChangeGuards
) -> None:
    change_guards(SPANGUARD_RATE_LIMITERS__NEWS_SCRAPING__RATE="2", SPANGUARD_RATE_LIMITERS__NEWS_SCRAPING__BURST="1")
    source = feed("/feeds/rss")
    await poll(source)
    await poll(source)
    (wait,) = signals.spans("wait news_scraping")
    (guarded,) = children(signals, signals.spans("poll rss")[1])[:1]
    assert (guarded.name, wait.parent_id) == ("guard news_feeds", guarded.span_id)


async def test_a_source_that_fails_holds_up_no_other(
    other_ends: OtherEnds, twitter: TwitterSource, feed: Feed, store: Store
) -> None:
    other_ends.http.faults.break_path(TWITTER_PATH, STORM)
    monitor = Monitor([(twitter, 0.05), (feed("/feeds/rss"), 0.05)], Matcher(KEYWORDS, []), store)
    stop = asyncio.Event()
    watching = asyncio.ensure_future(monitor.watch(stop))
    async with asyncio.timeout(20):
        while monitor.rounds["twitter_api"].failed < 3 or monitor.rounds["rss"].rounds < 3:  # noqa: ASYNC110 - rounds set no event
            await asyncio.sleep(0.01)
    stop.set()
    await watching
    assert monitor.rounds["rss"].failed == 0
    assert (await store.counts())["stored"] == 2


async def test_a_round_that_fails_in_an_unforeseen_way_is_followed_by_the_next() -> None:
    stop, known = asyncio.Event(), Round()

    async def work() -> None:
        if known.rounds == 2:
            stop.set()
        raise ZeroDivisionError

    await repeat("poll x", work, 0.01, stop, known)
    assert (known.rounds, known.failed, known.last_error) == (3, 3, "ZeroDivisionError")
