"""The dead-letter queue: what a letter keeps, how letters are looked at, given up and counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from opentelemetry import trace

from spanguard.error_handling import DeadLetterNotFoundError, DeadLetterPayloadError, DeadLetterQueue, LetterState
from spanguard.testing import FakeClock, Signals
from unit.dead_letter.queues import MakeQueue, fail

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


def test_the_span_that_failed_tells_of_the_queue(queue: DeadLetterQueue, signals: Signals) -> None:
    with trace.get_tracer("test").start_as_current_span("work"):
        queue.add("send", {})
    (span,) = signals.spans("work")
    assert span.attributes == {"spanguard.dead_letter.queue.name": queue.name}


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
