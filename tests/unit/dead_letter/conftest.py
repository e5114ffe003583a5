"""Dead-letter queues on a database of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spanguard.error_handling import DeadLetterQueue
from spanguard.testing import FakeClock
from unit.dead_letter.queues import MakeQueue


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
