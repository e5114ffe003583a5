"""The replay of dead letters: by whom, when, how often, and what is told of it."""

from __future__ import annotations

import asyncio
import threading

import pytest
from opentelemetry import trace

from spanguard.error_handling import DeadLetter, DeadLetterLeasedError, DeadLetterQueue, LetterState, ReplayReport
from spanguard.errors import ConfigurationError
from spanguard.testing import FakeClock, Signals
from unit.dead_letter.queues import MakeQueue, fail

# --- replay --------------------------------------------------------------------------------------------------------


def test_a_replayed_letter_is_gone(queue: DeadLetterQueue) -> None:
    seen: list[object] = []
    queue.handler("send")(lambda letter: seen.append(letter.payload))
    queue.add("send", {"to": "a"})
    assert queue.replay() == ReplayReport(replayed=1)
    assert seen == [{"to": "a"}]
    assert queue.size() == 0


def test_a_failed_replay_waits_longer_each_time_and_is_discarded_at_the_last(
    make_queue: MakeQueue, clock: FakeClock
) -> None:
    queue = make_queue(max_replays=3, replay_backoff=10, max_replay_backoff=15)
    queue.handler("send")(fail)
    letter_id = queue.add("send", {})
    for wait in (10, 15):
        assert queue.replay() == ReplayReport(failed=1)
        clock.advance(wait - 1)
        assert queue.replay() == ReplayReport()
        clock.advance(1)
    assert queue.replay() == ReplayReport(discarded=1)
    letter = queue.show(letter_id)
    assert (letter.state, letter.replays, letter.replay_error_type) == (LetterState.DISCARDED, 3, "ConnectionError")


def test_a_discarded_letter_is_replayed_by_its_id(queue: DeadLetterQueue) -> None:
    queue.handler("send")(lambda _: None)
    letter_id = queue.add("send", {})
    queue.discard(letter_id)
    assert queue.replay() == ReplayReport()
    assert queue.replay(ids=[letter_id]) == ReplayReport(replayed=1)


def test_a_letter_without_a_handler_stays_and_is_reported(queue: DeadLetterQueue) -> None:
    queue.handler("send")(lambda _: None)
    letter_id = queue.add("print", {})
    assert queue.replay() == ReplayReport(unhandled=1)
    with pytest.raises(ConfigurationError, match="'print', for which no handler is registered; the letter stays"):
        queue.replay(ids=[letter_id])
    assert queue.size() == 1


def test_a_replay_without_any_handler_is_refused(queue: DeadLetterQueue) -> None:
    with pytest.raises(ConfigurationError, match="no handler is registered"):
        queue.replay()


def test_an_operation_has_one_handler(queue: DeadLetterQueue) -> None:
    queue.handler("send")(fail)
    with pytest.raises(ConfigurationError, match="has a handler already"):
        queue.handler("send")(fail)


def test_a_replay_runs_at_most_limit_letters_the_oldest_first(queue: DeadLetterQueue) -> None:
    seen: list[object] = []
    queue.handler("send")(lambda letter: seen.append(letter.payload))
    for number in range(5):
        queue.add("send", number)
    queue.replay(limit=3)
    assert seen == [0, 1, 2]


def test_a_letter_under_replay_is_left_alone_by_all_others(queue: DeadLetterQueue, make_queue: MakeQueue) -> None:
    other = make_queue()
    other.handler("send")(fail)

    @queue.handler("send")
    def send(letter: DeadLetter) -> None:
        assert other.replay() == ReplayReport()
        with pytest.raises(DeadLetterLeasedError):
            other.replay(ids=[letter.id])
        with pytest.raises(DeadLetterLeasedError):
            other.discard(letter.id)
        assert other.purge(state=None) == 0

    queue.add("send", {})
    assert queue.replay() == ReplayReport(replayed=1)


def test_the_letter_of_a_dead_replayer_comes_back_when_its_lease_lapses(
    make_queue: MakeQueue, clock: FakeClock
) -> None:
    class Died(BaseException):
        """As good as the end of the process: nothing is settled."""

    queue = make_queue(lease=60)

    @queue.handler("send")
    def send(_: DeadLetter) -> None:
        raise Died

    queue.add("send", {})
    with pytest.raises(Died):
        queue.replay()
    other = make_queue()
    other.handler("send")(lambda _: None)
    assert other.replay() == ReplayReport()
    clock.advance(61)
    assert other.replay() == ReplayReport(replayed=1)


def test_a_letter_that_kills_its_replayer_each_time_is_discarded(make_queue: MakeQueue, clock: FakeClock) -> None:
    queue = make_queue(max_replays=2, lease=60)

    @queue.handler("send")
    def send(_: DeadLetter) -> None:
        raise SystemExit

    letter_id = queue.add("send", {})
    for _ in range(2):
        with pytest.raises(SystemExit):
            queue.replay()
        clock.advance(61)
    assert queue.replay() == ReplayReport()
    assert queue.show(letter_id).state is LetterState.DISCARDED


def test_the_outcome_of_a_lost_lease_does_not_count(
    queue: DeadLetterQueue, make_queue: MakeQueue, clock: FakeClock
) -> None:
    other = make_queue()
    other.handler("send")(fail)

    @queue.handler("send")
    def send(_: DeadLetter) -> None:
        clock.advance(1000)  # as long as this process was stopped
        assert other.replay() == ReplayReport(failed=1)

    queue.add("send", {})
    assert queue.replay() == ReplayReport(lost=1)
    assert queue.size() == 1


def test_a_lease_is_renewed_while_the_handler_runs(make_queue: MakeQueue) -> None:
    queue = make_queue(lease=0.3)
    renewed = threading.Event()

    @queue.handler("send")
    def send(letter: DeadLetter) -> None:
        store = queue._store
        original = store.renew

        def renew(letter_id: int, token: str, until: float) -> bool:
            held = original(letter_id, token, until)
            if held and letter_id == letter.id:
                renewed.set()
            return held

        store.renew = renew  # type: ignore[method-assign]
        assert renewed.wait(10)

    queue.add("send", {})
    assert queue.replay() == ReplayReport(replayed=1)


def test_a_handler_that_hangs_is_left_behind_and_keeps_its_letter(make_queue: MakeQueue) -> None:
    queue = make_queue(handler_timeout=0.05)
    go, ended = threading.Event(), threading.Event()
    left_behind: list[threading.Thread] = []

    @queue.handler("send")
    def send(_: DeadLetter) -> None:
        left_behind.append(threading.current_thread())
        go.wait(10)
        ended.set()

    letter_id = queue.add("send", {})
    assert queue.replay() == ReplayReport(running=1)
    assert queue.show(letter_id).leased_until is not None
    assert queue.replay() == ReplayReport()
    go.set()
    assert ended.wait(10)
    left_behind[0].join(10)  # it settles the letter, which the queue must outlive


def test_a_handler_within_its_timeout_is_a_plain_replay(make_queue: MakeQueue) -> None:
    queue = make_queue(handler_timeout=10)
    queue.handler("send")(lambda _: None)
    queue.add("send", {})
    assert queue.replay() == ReplayReport(replayed=1)


def test_the_span_of_a_replay_links_to_the_trace_that_failed(queue: DeadLetterQueue, signals: Signals) -> None:
    queue.handler("send")(fail)
    with trace.get_tracer("test").start_as_current_span("work"):
        queue.add("send", {})
    queue.replay()
    (work,), (replay,) = signals.spans("work"), signals.spans("replay mail")
    assert replay.links == ((work.trace_id, work.span_id),)
    assert replay.trace_id != work.trace_id
    assert replay.status == "error"


def test_the_event_of_a_replay_belongs_to_its_span(queue: DeadLetterQueue, signals: Signals) -> None:
    queue.handler("send")(lambda _: None)
    queue.add("send", {})
    queue.replay()
    (span,), (event,) = signals.spans("replay mail"), signals.events("spanguard.dead_letter.replayed")
    assert (event.trace_id, event.span_id) == (span.trace_id, span.span_id)


# --- async ---------------------------------------------------------------------------------------------------------


async def test_async_and_plain_handlers_are_replayed_together(queue: DeadLetterQueue) -> None:
    seen: list[tuple[object, bool]] = []
    loop_thread = threading.get_ident()

    @queue.handler("async")
    async def awaited(letter: DeadLetter) -> None:
        await asyncio.sleep(0)
        seen.append((letter.payload, threading.get_ident() == loop_thread))

    @queue.handler("plain")
    def plain(letter: DeadLetter) -> None:
        seen.append((letter.payload, threading.get_ident() == loop_thread))

    await queue.add_async("async", 1)
    await queue.add_async("plain", 2)
    assert await queue.replay_async() == ReplayReport(replayed=2)
    assert seen == [(1, True), (2, False)]
    assert await queue.size_async() == 0


async def test_an_async_handler_that_hangs_is_cancelled_and_the_letter_stays(make_queue: MakeQueue) -> None:
    queue = make_queue(handler_timeout=0.05)

    @queue.handler("send")
    async def send(_: DeadLetter) -> None:
        await asyncio.Event().wait()

    letter_id = queue.add("send", {})
    assert await queue.replay_async() == ReplayReport(failed=1)
    assert queue.show(letter_id).replay_error_type == "TimeoutError"


def test_an_async_handler_is_refused_by_the_plain_replay(queue: DeadLetterQueue) -> None:
    @queue.handler("send")
    async def send(_: DeadLetter) -> None: ...

    with pytest.raises(ConfigurationError, match="use replay_async"):
        queue.replay()


def test_a_plain_handler_that_returns_a_coroutine_does_not_lose_the_letter(queue: DeadLetterQueue) -> None:
    async def send() -> None: ...

    queue.handler("send")(lambda _: send())
    queue.add("send", {})
    assert queue.replay() == ReplayReport(failed=1)
