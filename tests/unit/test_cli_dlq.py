from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spanguard.error_handling import DeadLetterQueue, LetterState

Cli = Callable[..., subprocess.CompletedProcess[str]]

APPLICATION = """
from spanguard.error_handling import DeadLetterQueue

queue = DeadLetterQueue("sqlite:///letters.db", "mail")


@queue.handler("works")
async def works(letter):
    print("handled", letter.payload)


@queue.handler("fails")
def fails(letter):
    raise ConnectionError


nothing = None
"""


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[DeadLetterQueue]:
    """The queue that the command looks at."""
    opened = DeadLetterQueue(f"sqlite:///{tmp_path / 'letters.db'}", "mail")
    yield opened
    opened.close()


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """`spanguard dlq` as its own process, in the folder of the database and of an application."""
    (tmp_path / "shop.py").write_text(APPLICATION)

    def run(command: str, *arguments: str, answer: str = "") -> subprocess.CompletedProcess[str]:
        program = "import sys\nfrom spanguard.cli import main\nsys.argv[0] = 'spanguard'\nmain()"
        where = () if command == "replay" else ("--queue", "mail")
        return subprocess.run(
            [sys.executable, "-c", program, "dlq", command, *where, *arguments],
            env={**os.environ, "SPANGUARD_DLQ_URL": "sqlite:///letters.db"},
            cwd=tmp_path,
            input=answer,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_list_prints_a_line_a_letter(cli: Cli, queue: DeadLetterQueue) -> None:
    letter_id = queue.add("works", {}, error=TimeoutError(), attempts=3)
    done = cli("list")
    header, line = done.stdout.splitlines()
    assert header.split() == ["ID", "OPERATION", "STATE", "STORED", "ERROR", "ATTEMPTS", "REPLAYS"]
    assert [line.split()[i] for i in (0, 1, 2, -3, -2, -1)] == [
        str(letter_id),
        "works",
        "waiting",
        "TimeoutError",
        "3",
        "0",
    ]
    assert done.returncode == 0


def test_list_as_json_holds_no_payload(cli: Cli, queue: DeadLetterQueue) -> None:
    queue.add("works", "private")
    done = cli("list", "--json")
    (letter,) = json.loads(done.stdout)
    assert letter["operation"] == "works"
    assert "private" not in done.stdout


def test_show_prints_the_payload(cli: Cli, queue: DeadLetterQueue) -> None:
    letter_id = queue.add("works", {"to": "a"})
    assert '"to": "a"' in cli("show", str(letter_id)).stdout
    assert json.loads(cli("show", str(letter_id), "--json").stdout)["payload"] == {"to": "a"}


def test_replay_runs_the_handlers_of_the_application(cli: Cli, queue: DeadLetterQueue) -> None:
    queue.add("works", "a")
    done = cli("replay", "--app", "shop:queue")
    assert done.stdout == "handled a\n1 replayed\n"
    assert done.returncode == 0
    assert queue.size() == 0


def test_a_replay_that_fails_is_exit_code_1(cli: Cli, queue: DeadLetterQueue) -> None:
    letter_id = queue.add("fails", "a")
    done = cli("replay", str(letter_id), "--app", "shop:queue", "--json")
    assert json.loads(done.stdout)["failed"] == 1
    assert done.returncode == 1


def test_discard_gives_letters_up(cli: Cli, queue: DeadLetterQueue) -> None:
    ids = [queue.add("works", number) for number in range(2)]
    assert cli("discard", *map(str, ids)).returncode == 0
    assert [letter.id for letter in queue.list(state=LetterState.DISCARDED)] == ids


def test_purge_deletes_discarded_letters(cli: Cli, queue: DeadLetterQueue) -> None:
    queue.discard(queue.add("works", 1))
    queue.add("works", 2)
    assert json.loads(cli("purge", "--json").stdout) == {"deleted": 1}
    assert [letter.payload for letter in queue.list(state=None)] == [2]


def test_purge_asks_before_it_deletes_waiting_letters(cli: Cli, queue: DeadLetterQueue) -> None:
    queue.add("works", 1)
    assert cli("purge", "--state", "all", answer="n\n").returncode == 1
    assert queue.size() == 1
    assert cli("purge", "--state", "all", "--yes").stdout == "deleted 1\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("show", "77"), "has no letter 77"),
        (("discard", "77"), "has no letter 77"),
        (("list", "--state", "odd"), "state is 'odd'"),
        (("list", "--url", "sqlite:///missing.db"), "there is no such file"),
        (("list", "--url", "mysql://h/d"), "must begin with sqlite or postgresql"),
        (("replay", "--app", "shop"), "MODULE:QUEUE is expected"),
        (("replay", "--app", "nowhere:queue"), "not found"),
        (("replay", "--app", "shop:nothing"), "not a DeadLetterQueue"),
        (("replay", "77", "--app", "shop:queue"), "has no letter 77"),
    ],
)
def test_wrong_input_is_one_message_and_exit_code_2(
    cli: Cli, queue: DeadLetterQueue, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    queue.size()
    done = cli(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("spanguard: ")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "missing.db").exists()
