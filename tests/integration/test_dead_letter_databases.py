"""The dead-letter queue on real databases, with processes that die and processes that compete."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL

from spanguard.error_handling import (
    DeadLetter,
    DeadLetterDatabaseError,
    DeadLetterQueue,
    LetterState,
    ReplayReport,
)
from spanguard.errors import ResourceUnavailableError
from spanguard.testing import FakeClock

KILLS = 220
WRITERS = 2

# Forks writers that tell each letter on a pipe once `add` has returned, and kills them at any moment.
KILLER = """
import json, os, random, select, signal, sys
from spanguard.error_handling import DeadLetterQueue

url, kills, writers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(4)
DeadLetterQueue(url + ".warm").size()  # imports what each writer would import anew


def start_writer(first):
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    queue = DeadLetterQueue(url)
    number = first
    while True:
        queue.add("send", number)
        os.write(writing, b"%d\\n" % number)
        number += 1


acknowledged, killed = [], 0
while killed < kills:
    begun = [start_writer((killed + index) * 1_000_000) for index in range(writers)]
    select.select([reading for _, reading in begun], [], [])
    for _ in range(chance.randrange(3000)):
        os.sched_yield()
    for child, reading in begun:
        os.kill(child, signal.SIGKILL)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        killed += 1
        with os.fdopen(reading) as lines:
            acknowledged += map(int, lines)
json.dump({"killed": killed, "acknowledged": acknowledged}, sys.stdout)
"""

# Replays until nothing is left, and prints each letter it handled.
REPLAYER = """
import sys
from spanguard.error_handling import DeadLetterQueue

queue = DeadLetterQueue(sys.argv[1])


@queue.handler("send")
def send(letter):
    print(letter.id, flush=True)


queue.size()
print("ready", flush=True)
sys.stdin.readline()
while queue.size():
    queue.replay()
"""


def run(program: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def shown(database: URL) -> str:
    return database.render_as_string(hide_password=False)


@pytest.fixture
def postgresql(request: pytest.FixtureRequest) -> URL:
    """An empty database of the PostgreSQL server."""
    server = request.getfixturevalue("postgresql_server")
    engine = create_engine(server.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS letters WITH (FORCE)"))
        connection.execute(text("CREATE DATABASE letters"))
    engine.dispose()
    url: URL = server.url.set(database="letters")
    return url


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_no_acknowledged_letter_of_a_killed_writer_is_lost_and_none_is_twice(tmp_path: Path) -> None:
    path = tmp_path / "letters.db"
    with run(KILLER, f"sqlite:///{path}", str(KILLS), str(WRITERS)) as killer:
        result = json.loads(killer.communicate(timeout=170)[0])
    connection = sqlite3.connect(path)
    stored = [json.loads(row[0]) for row in connection.execute("SELECT payload FROM spanguard_dead_letters")]
    integrity = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    assert integrity == ("ok",)
    assert result["killed"] >= KILLS
    assert len(result["acknowledged"]) >= KILLS / WRITERS
    assert set(result["acknowledged"]) - set(stored) == set()
    assert [number for number, times in Counter(stored).items() if times > 1] == []


@pytest.mark.timeout(180)
def test_four_replayers_on_postgresql_handle_each_letter_once(postgresql: URL) -> None:
    queue = DeadLetterQueue(shown(postgresql))
    ids = [queue.add("send", number) for number in range(400)]
    replayers = [run(REPLAYER, shown(postgresql)) for _ in range(4)]
    handled = []
    for replayer in replayers:
        assert replayer.stdout is not None
        assert replayer.stdout.readline() == "ready\n"
    for replayer in replayers:
        assert replayer.stdin is not None
        replayer.stdin.write("go\n")
        replayer.stdin.flush()
    for replayer in replayers:
        output = replayer.communicate(timeout=120)[0]
        assert replayer.returncode == 0
        handled.append(list(map(int, output.split())))
    assert sorted(letter_id for each in handled for letter_id in each) == ids
    assert len([each for each in handled if each]) > 1
    assert queue.size() == 0
    queue.close()


def test_a_letter_goes_its_whole_way_on_either_database(database: URL, clock: FakeClock) -> None:
    queue = DeadLetterQueue(shown(database), max_replays=2, clock=clock)

    @queue.handler("fails")
    def fail(_: DeadLetter) -> None:
        raise ConnectionError

    queue.handler("works")(lambda _: None)
    failing = queue.add("fails", {"text": "ż\x00\ud800"}, error=TimeoutError(), attempts=3)
    working = queue.add("works", [1, None])
    assert [letter.id for letter in queue.list()] == [failing, working]
    assert queue.show(failing).payload == {"text": "ż\x00\ud800"}
    assert queue.replay() == ReplayReport(replayed=1, failed=1)
    clock.advance(60)
    assert queue.oldest_age() == 60
    assert queue.replay() == ReplayReport(discarded=1)
    assert queue.show(failing).state is LetterState.DISCARDED
    assert queue.purge() == 1
    assert queue.list(state=None) == ()
    queue.close()


def test_parent_and_forked_child_add_side_by_side_on_either_database(database: URL) -> None:
    queue = DeadLetterQueue(shown(database))
    queue.add("send", "parent")
    child = os.fork()
    if child == 0:
        added = [queue.add("send", "child") for _ in range(50)]
        os._exit(0 if len(set(added)) == 50 else 1)
    for _ in range(50):
        queue.add("send", "parent")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert Counter(letter.payload for letter in queue.list(limit=1000)) == {"parent": 51, "child": 50}
    queue.close()


def test_the_count_is_bounded_on_either_database(database: URL) -> None:
    queue = DeadLetterQueue(shown(database), max_letters=2)
    for number in range(4):
        queue.add("send", number)
    assert [letter.payload for letter in queue.list()] == [2, 3]
    queue.close()


def test_a_schema_of_another_version_is_refused_on_either_database(database: URL) -> None:
    first = DeadLetterQueue(shown(database))
    first.add("send", {})
    first.close()
    engine = create_engine(database)
    with engine.begin() as connection:
        connection.execute(text("UPDATE spanguard_dead_letter_schema SET version = 2"))
    engine.dispose()
    second = DeadLetterQueue(shown(database))
    with pytest.raises(DeadLetterDatabaseError, match="are of version 2; this spanguard knows version 1"):
        second.add("send", {})
    second.close()


def test_processes_that_begin_at_once_make_the_tables_once(database: URL) -> None:
    replayers = [run(REPLAYER, shown(database)) for _ in range(4)]
    for replayer in replayers:
        replayer.communicate("go\n", timeout=60)
        assert replayer.returncode == 0


def test_postgresql_waits_for_the_disk_even_where_the_server_does_not(postgresql: URL) -> None:
    engine = create_engine(postgresql, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("ALTER DATABASE letters SET synchronous_commit TO off"))
    engine.dispose()
    queue = DeadLetterQueue(shown(postgresql))
    with queue._store._transaction() as connection:
        assert connection.execute(text("SHOW synchronous_commit")).scalar_one() == "on"
    queue.close()


def test_a_server_that_is_gone_is_an_error_until_it_is_back(postgresql: URL, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("postgresql_server")
    queue = DeadLetterQueue(shown(postgresql))
    queue.add("send", 1)
    server.stop()
    try:
        with pytest.raises(ResourceUnavailableError, match="cannot be used now"):
            queue.add("send", 2)
    finally:
        server.start()
    queue.add("send", 3)
    # fsync is off in this server, and it was stopped at once: what counts is that the queue finds back.
    assert 3 in [letter.payload for letter in queue.list()]
    queue.close()
