"""The signals of a dead-letter queue."""

from __future__ import annotations

from typing import Final

from spanguard.semconv.common import ERROR_TYPE
from spanguard.semconv.model import Attribute, Event, Metric, MetricKind

DEAD_LETTER_QUEUE: Final = Attribute("spanguard.dead_letter.queue.name", "string", "The dead-letter queue's name.")
DEAD_LETTER_OUTCOME: Final = Attribute(
    "spanguard.dead_letter.outcome",
    "string",
    "What became of the letter: `replay_failed` waits for its next replay, `discarded` was given up by a person, by `max_replays` or by retention.",
    values=("stored", "replayed", "replay_failed", "discarded"),
)
DEAD_LETTER_ID: Final = Attribute("spanguard.dead_letter.id", "int", "The letter's id in its database.")
DEAD_LETTER_OPERATION: Final = Attribute(
    "spanguard.dead_letter.operation",
    "string",
    "The operation that failed, by the name its handler is registered under.",
)
DEAD_LETTER_ATTEMPTS: Final = Attribute(
    "spanguard.dead_letter.attempt.count", "int", "Attempts made before the letter was stored.", unit="{attempt}"
)
DEAD_LETTER_REPLAYS: Final = Attribute(
    "spanguard.dead_letter.replay.count",
    "int",
    "Replays of the letter begun so far, this one included.",
    unit="{replay}",
)

DEAD_LETTER_MESSAGES_METRIC: Final = Metric(
    "spanguard.dead_letter.messages",
    MetricKind.COUNTER,
    "{message}",
    "What this process did with dead letters.",
    (DEAD_LETTER_QUEUE, DEAD_LETTER_OUTCOME),
)
DEAD_LETTER_SIZE_METRIC: Final = Metric(
    "spanguard.dead_letter.queue.size",
    MetricKind.GAUGE,
    "{message}",
    "Letters that wait. All processes on one database see the same queue: take the maximum, not the sum.",
    (DEAD_LETTER_QUEUE,),
)
DEAD_LETTER_OLDEST_METRIC: Final = Metric(
    "spanguard.dead_letter.queue.oldest_age",
    MetricKind.GAUGE,
    "s",
    "How long ago the oldest waiting letter was stored; 0 for an empty queue.",
    (DEAD_LETTER_QUEUE,),
)
DEAD_LETTER_STORED_EVENT: Final = Event(
    "spanguard.dead_letter.stored",
    "An operation failed for good and is kept as a letter. Its payload is never part of the event.",
    (DEAD_LETTER_QUEUE, DEAD_LETTER_ID, DEAD_LETTER_OPERATION, DEAD_LETTER_ATTEMPTS),
    (ERROR_TYPE,),
)
DEAD_LETTER_REPLAYED_EVENT: Final = Event(
    "spanguard.dead_letter.replayed",
    "A letter was replayed, and with what outcome; it belongs to the replay's span, which links to the trace that failed.",
    (DEAD_LETTER_QUEUE, DEAD_LETTER_ID, DEAD_LETTER_OPERATION, DEAD_LETTER_REPLAYS, DEAD_LETTER_OUTCOME),
    (ERROR_TYPE,),
)
