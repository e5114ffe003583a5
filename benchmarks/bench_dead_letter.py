"""A durable letter against a bare insert and commit through sqlite3, into the same table with the same pragmas."""

from __future__ import annotations

import atexit
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common import Figure, Timer

from spanguard.error_handling import DeadLetterQueue

PAYLOAD = {"to": "reader@example.org", "template": "digest", "items": [17, 18, 21]}
INSERT = """
INSERT INTO spanguard_dead_letters
    (queue, operation, payload, error_type, attempts, trace_id, span_id, state, stored_at, replays, available_at)
VALUES ('mail', 'send', ?, 'TimeoutError', 3, '', '', 'waiting', 1.0, 0, 1.0)
"""
ERROR = TimeoutError()


def waiting(call: Callable[[], object]) -> Timer:
    """The timer of a call that waits for the disk: real time, since processor time would leave the wait out."""

    def run(loops: int) -> float:
        numbers = range(loops)
        start = time.perf_counter()
        for _ in numbers:
            call()
        return time.perf_counter() - start

    return run


def database() -> Path:
    # Below this folder, which is on a disk: the temporary one may be memory, where nothing is durable.
    folder = tempfile.TemporaryDirectory(prefix=".bench-", dir=Path(__file__).parent)
    atexit.register(folder.cleanup)
    return Path(folder.name) / "letters.db"


def add() -> Timer:
    queue = DeadLetterQueue(f"sqlite:///{database()}", "mail", max_letters=None)
    return waiting(lambda: queue.add("send", PAYLOAD, error=ERROR, attempts=3))


def insert() -> Timer:
    path = database()
    queue = DeadLetterQueue(f"sqlite:///{path}", "mail")
    queue.size()  # makes the tables
    queue.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    payload = '{"to":"reader@example.org","template":"digest","items":[17,18,21]}'

    def call() -> None:
        connection.execute(INSERT, (payload,))
        connection.commit()

    return waiting(call)


FIGURES = [
    Figure(
        "dead-letter-add",
        "dead letter add, SQLite durable (throughput)",
        0.7,
        add,
        insert,
        "sqlite3 insert + commit, same pragmas",
        at_least=True,
    ),
]
