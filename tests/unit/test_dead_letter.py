from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry import trace

from spanguard.error_handling import (
    DeadLetter,
    DeadLetterDatabaseError,
    DeadLetterLeasedError,
    DeadLetterNotFoundError,
    DeadLetterPayloadError,
    DeadLetterQueue,
    LetterState,
    ReplayReport,
)
from spanguard.errors import ConfigurationError, ResourceUnavailableError
from spanguard.testing import FakeClock, Signals

MakeQueue = Callable[..., DeadLetterQueue]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "letters.db"


@pytest.fixture
def make_queue(path: Path, clock: FakeClock) -> Iterator[MakeQueue]:
    """Queues on one database; each call is as good as another process."""
    made: list[DeadLetterQueue] = []

    def make(name: str = "mail", **settings: object) -> DeadLetterQueue:
        made.append(DeadLetterQueue(f"sqlite:///{path}", name, **{"clock": clock, **settings}))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for queue in made:
        queue.close()


@pytest.fixture
def queue(make_queue: MakeQueue) -> DeadLetterQueue:
    return make_queue()


def fail(letter: DeadLetter) -> None:
    raise ConnectionError(letter.operation)


# --- add and look --------------------------------------------------------------------------------------------------


def test_a_letter_keeps_what_failed_and_why(queue: DeadLetterQueue, clock: FakeClock) -> None:
    letter_id = queue.add("send", {"to": ["a", 1, 2.5, None, True]}, error=TimeoutError("late"), attempts=3)
    letter = queue.show(letter_id)
    assert letter.payload == {"to": ["a", 1, 2.5, None, True]}
    assert (letter.operation, letter.error_type, letter.attempts) == ("send", "TimeoutError", 3)
    assert (letter.state, letter.stored_at, letter.replays) == (LetterState.WAITING, clock.time(), 0)


def test_a_letter_knows_the_trace_that_failed(queue: DeadLetterQueue, signals: Signals) -> None:
    with trace.get_tracer("test").start_as_current_span("work"):
        letter_id = queue.add("send", {})
    (span,) = signals.spans("work")
    letter = queue.show(letter_id)
    assert (letter.trace_id, letter.span_id) == (span.trace_id, span.span_id)


def test_secret_looking_keys_are_redacted_at_any_depth(queue: DeadLetterQueue) -> None:
    letter_id = queue.add("send", {"X-Api-Key": "s1", "list": [{"userPassword": "s2", "user": "u"}]})
    assert queue.show(letter_id).payload == {
        "X-Api-Key": "[REDACTED]",
        "list": [{"userPassword": "[REDACTED]", "user": "u"}],
    }


def test_a_secret_is_not_in_the_file(queue: DeadLetterQueue, path: Path) -> None:
    queue.add("send", {"token": "hunter2hunter2"}, error=ValueError("hunter2hunter2"))
    queue.close()
    assert b"hunter2" not in path.read_bytes()


def test_further_words_are_redacted_when_asked_for(make_queue: MakeQueue) -> None:
    queue = make_queue(redact=["pesel"])
    assert queue.show(queue.add("send", {"PESEL number": "1"})).payload == {"PESEL number": "[REDACTED]"}


def test_an_error_text_is_kept_only_when_asked_for_and_then_redacted(make_queue: MakeQueue) -> None:
    error = ValueError("password=hunter2, at https://joe:pw@example.org/x, Authorization: Bearer abc " + "x" * 1000)
    assert make_queue().show(make_queue().add("send", {}, error=error)).error_message is None
    keeping = make_queue(keep_error_messages=True)
    message = keeping.show(keeping.add("send", {}, error=error)).error_message
    assert message is not None
    assert message.startswith("password=[REDACTED], at https://[REDACTED]@example.org/x, Authorization: [REDACTED] xxx")
    assert len(message) == 500


@pytest.mark.parametrize("payload", [{"a": {1, 2}}, {"a": float("nan")}, {1: "a"}, object(), b"bytes", {"a": 10**5000}])
def test_a_payload_that_is_not_json_is_refused_and_nothing_is_stored(queue: DeadLetterQueue, payload: object) -> None:
    with pytest.raises(DeadLetterPayloadError, match="Nothing was stored"):
        queue.add("send", payload)
    assert queue.size() == 0


def test_a_payload_that_holds_itself_is_refused(queue: DeadLetterQueue) -> None:
    payload: list[object] = []
    payload.append(payload)
    with pytest.raises(DeadLetterPayloadError, match="100 levels"):
        queue.add("send", payload)


def test_a_payload_is_bounded_in_bytes(make_queue: MakeQueue) -> None:
    queue = make_queue(max_payload_bytes=12)
    queue.add("send", "x" * 10)
    with pytest.raises(DeadLetterPayloadError, match=r"13 bytes of JSON; max_payload_bytes is 12"):
        queue.add("send", "x" * 11)


def test_a_lone_surrogate_survives(queue: DeadLetterQueue) -> None:
    assert queue.show(queue.add("send", "\ud800\x00")).payload == "\ud800\x00"


def test_letters_are_listed_a_page_at_a_time(queue: DeadLetterQueue) -> None:
    ids = [queue.add("send", number) for number in range(5)]
    page = queue.list(limit=3)
    assert [letter.id for letter in page] == ids[:3]
    assert [letter.id for letter in queue.list(after=page[-1].id)] == ids[3:]


def test_queues_on_one_database_are_apart(make_queue: MakeQueue) -> None:
    letter_id = make_queue("a").add("send", {})
    assert make_queue("b").size() == 0
    with pytest.raises(DeadLetterNotFoundError):
        make_queue("b").show(letter_id)


def test_an_id_is_never_given_twice(queue: DeadLetterQueue) -> None:
    first = queue.add("send", {})
    queue.purge(state=None)
    assert queue.add("send", {}) > first


def test_the_oldest_age_is_that_of_the_oldest_waiting_letter(queue: DeadLetterQueue, clock: FakeClock) -> None:
    assert queue.oldest_age() is None
    first = queue.add("send", {})
    clock.advance(10)
    queue.add("send", {})
    assert queue.oldest_age() == 10
    queue.discard(first)
    assert queue.oldest_age() == 0


def test_the_text_of_a_queue_and_a_letter_holds_no_payload(queue: DeadLetterQueue) -> None:
    assert "private" not in repr(queue.show(queue.add("send", "private")))


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

    @queue.handler("send")
    def send(_: DeadLetter) -> None:
        go.wait(10)
        ended.set()

    letter_id = queue.add("send", {})
    assert queue.replay() == ReplayReport(running=1)
    assert queue.show(letter_id).leased_until is not None
    assert queue.replay() == ReplayReport()
    go.set()
    assert ended.wait(10)


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


# --- discard, purge, retention -------------------------------------------------------------------------------------


def test_a_letter_that_is_not_there_cannot_be_discarded(queue: DeadLetterQueue) -> None:
    with pytest.raises(DeadLetterNotFoundError, match="has no letter 7"):
        queue.discard(7)


def test_purge_deletes_discarded_letters_of_an_age(queue: DeadLetterQueue, clock: FakeClock) -> None:
    queue.discard(queue.add("send", "old"))
    clock.advance(100)
    queue.discard(queue.add("send", "new"))
    queue.add("send", "waiting")
    assert queue.purge(older_than=50) == 1
    assert [letter.payload for letter in queue.list(state=None)] == ["new", "waiting"]


def test_letters_beyond_their_age_are_deleted(make_queue: MakeQueue, clock: FakeClock, signals: Signals) -> None:
    queue = make_queue(max_age=1000)
    queue.add("send", "old")
    clock.advance(1001)
    queue.add("send", "new")
    assert [letter.payload for letter in queue.list()] == ["new"]
    assert signals.increase("spanguard.dead_letter.messages", {"spanguard.dead_letter.outcome": "discarded"}) == 1


def test_the_oldest_letters_beyond_the_count_are_deleted(make_queue: MakeQueue) -> None:
    queue = make_queue(max_letters=3)
    for number in range(5):
        queue.add("send", number)
    assert [letter.payload for letter in queue.list()] == [2, 3, 4]


# --- numbers -------------------------------------------------------------------------------------------------------


def test_each_outcome_is_counted(make_queue: MakeQueue, signals: Signals) -> None:
    queue = make_queue("counted", max_replays=1)
    queue.handler("good")(lambda _: None)
    queue.handler("bad")(fail)
    queue.add("good", {})
    queue.add("bad", {})
    queue.discard(queue.add("bad", {}))
    queue.replay()
    counted = {
        outcome: signals.increase("spanguard.dead_letter.messages", {"spanguard.dead_letter.outcome": outcome})
        for outcome in ("stored", "replayed", "discarded")
    }
    assert counted == {"stored": 3, "replayed": 1, "discarded": 2}


def test_size_and_oldest_age_are_gauges_that_follow_other_processes(
    make_queue: MakeQueue, clock: FakeClock, signals: Signals
) -> None:
    mine = {"spanguard.dead_letter.queue.name": "watched"}
    watching = make_queue("watched")
    make_queue("watched").add("send", {})
    clock.advance(30)

    def gauges() -> tuple[float, float]:
        return (
            signals.value("spanguard.dead_letter.queue.size", mine),
            signals.value("spanguard.dead_letter.queue.oldest_age", mine),
        )

    signals.wait_for(lambda _: gauges() == (1, 30), what="the gauges")
    watching.purge(state="waiting")
    assert gauges() == (0, 0)


def test_a_closed_queue_has_no_gauges(make_queue: MakeQueue, signals: Signals) -> None:
    queue = make_queue("closed")
    queue.add("send", {})
    queue.purge(state="waiting")
    metric, mine = "spanguard.dead_letter.queue.size", {"spanguard.dead_letter.queue.name": "closed"}
    assert [point.value for point in signals.points(metric) if point.attributes == mine] == [0]
    queue.close()
    assert list(queue._gauges._size()) == []


# --- settings and databases ----------------------------------------------------------------------------------------


def test_every_wrong_setting_is_named_in_one_message(make_queue: MakeQueue) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_queue("a b", max_replays=0, lease=-1, max_age=float("nan"), max_payload_bytes=True)
    assert len(caught.value.problems) == 5


def test_a_backoff_above_its_cap_is_refused(make_queue: MakeQueue) -> None:
    with pytest.raises(ConfigurationError, match="below replay_backoff"):
        make_queue(replay_backoff=100, max_replay_backoff=10)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://u:hunter2@h/d", "what is this hunter2"])
def test_a_url_of_no_durable_database_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        DeadLetterQueue(url)
    assert "hunter2" not in str(caught.value)


def test_the_password_is_in_no_repr() -> None:
    assert "hunter2" not in repr(DeadLetterQueue("postgresql://u:hunter2@127.0.0.1/d"))


def test_a_database_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    queue = DeadLetterQueue(f"sqlite:///{tmp_path}/missing/letters.db")
    with pytest.raises(ResourceUnavailableError, match="needs a folder that can be written"):
        queue.add("send", {})


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(queue: DeadLetterQueue, path: Path) -> None:
    path.write_bytes(b"not a database, but somebody's notes " * 100)
    with pytest.raises(DeadLetterDatabaseError, match="Nothing was changed"):
        queue.add("send", {})
    assert path.read_bytes().startswith(b"not a database")


def test_a_schema_of_another_version_is_refused(make_queue: MakeQueue, path: Path) -> None:
    make_queue().add("send", {})
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE spanguard_dead_letter_schema SET version = 99")
    connection.close()
    with pytest.raises(DeadLetterDatabaseError, match="are of version 99; this spanguard knows version 1"):
        make_queue().add("send", {})


def test_tables_of_somebody_else_are_refused(queue: DeadLetterQueue, path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE spanguard_dead_letters (id INTEGER)")
    connection.close()
    with pytest.raises(DeadLetterDatabaseError, match="are of no version"):
        queue.size()


def test_sqlalchemy_is_not_imported_before_there_is_a_queue() -> None:
    program = "import sys, spanguard.error_handling; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_sqlite_is_in_wal_and_waits_for_the_disk(queue: DeadLetterQueue) -> None:
    queue.add("send", {})
    with queue._store._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


def test_threads_add_without_losing_a_letter(queue: DeadLetterQueue) -> None:
    threads = [threading.Thread(target=lambda: [queue.add("send", number) for number in range(10)]) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert queue.size() == 160


def test_a_forked_child_adds_on_its_own_connection(queue: DeadLetterQueue) -> None:
    def connection() -> object:
        assert queue._store._writers is not None
        return queue._store._writers[0].dbapi_connection

    queue.add("send", "parent")
    of_parent = connection()
    child = os.fork()
    if child == 0:
        own = False
        try:
            queue.add("send", "child")
            own = connection() is not of_parent
        finally:
            os._exit(0 if own else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    queue.add("send", "parent again")
    assert [letter.payload for letter in queue.list()] == ["parent", "child", "parent again"]
