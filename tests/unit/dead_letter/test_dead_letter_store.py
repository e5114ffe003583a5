"""A dead-letter queue's settings, and the database that it opens."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spanguard import semconv
from spanguard.error_handling import DeadLetterDatabaseError, DeadLetterQueue
from spanguard.errors import ConfigurationError, ResourceUnavailableError
from spanguard.testing import Signals
from unit.dead_letter.queues import MakeQueue


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


def test_the_gauges_of_a_queue_without_letters_make_no_file(
    queue: DeadLetterQueue, path: Path, signals: Signals
) -> None:
    wanted = {semconv.DEAD_LETTER_QUEUE.key: queue.name}
    deadline = time.monotonic() + 10
    while not [p for p in signals.points(semconv.DEAD_LETTER_SIZE_METRIC.name) if p.attributes == wanted]:
        assert time.monotonic() < deadline
    assert signals.value(semconv.DEAD_LETTER_SIZE_METRIC.name, wanted) == 0
    assert not path.exists()


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(queue: DeadLetterQueue, path: Path) -> None:
    path.write_bytes(b"not a database, but somebody's notes " * 100)
    with pytest.raises(DeadLetterDatabaseError, match="Nothing was changed"):
        queue.add("send", {})
    assert path.read_bytes().startswith(b"not a database")


def test_a_damaged_database_is_said_to_be_damaged(make_queue: MakeQueue, path: Path) -> None:
    queue = make_queue()
    for number in range(200):
        queue.add("send", {"number": number, "text": "x" * 200})
    queue.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 4)
        file.write(b"\xff" * (size // 2))
    with pytest.raises(DeadLetterDatabaseError, match=r"is damaged.*Restore it"):
        make_queue().list(limit=1000)


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


def test_what_a_child_adds_outlives_the_end_of_its_parents_queue(make_queue: MakeQueue) -> None:
    queue = make_queue()
    queue.add("send", "parent")
    from_child, to_child = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        queue.add("send", "child")
        os.write(from_child[1], b"x")
        os.read(to_child[0], 1)
        queue.add("send", "child again")
        os._exit(0)
    os.read(from_child[0], 1)
    # Who closes the last connection that holds a lock deletes the log of SQLite, with what is in it.
    queue.close()
    os.write(to_child[1], b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for end in (*from_child, *to_child):
        os.close(end)
    assert [letter.payload for letter in make_queue().list()] == ["parent", "child", "child again"]


def test_a_fork_waits_until_no_thread_is_inside_sqlite(queue: DeadLetterQueue) -> None:
    queue.add("send", {})
    inside, leave, forked = threading.Event(), threading.Event(), threading.Event()

    def write_slowly() -> None:
        with queue._store._transaction():
            inside.set()
            leave.wait(20)
            assert not forked.is_set()

    def fork() -> None:
        if (child := os.fork()) == 0:
            os._exit(queue.size() - 1)
        forked.set()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    with ThreadPoolExecutor(2) as pool:
        writing = pool.submit(write_slowly)
        assert inside.wait(20)
        forking = pool.submit(fork)
        assert not forked.wait(0.1)
        leave.set()
        assert (writing.result(20), forking.result(20)) == (None, None)
