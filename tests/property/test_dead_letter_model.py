"""The queue against a model: a dict of letters, with the same times."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from spanguard.error_handling import DeadLetter, DeadLetterNotFoundError, DeadLetterQueue, LetterState, ReplayReport
from spanguard.testing import FakeClock

MAX_REPLAYS = 3
BACKOFF = 10.0
MAX_BACKOFF = 15.0

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abxyz", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@dataclass
class Letter:
    payload: Any
    works: bool
    stored_at: float
    available_at: float
    replays: int = 0
    is_discarded: bool = False


class DeadLetters(RuleBasedStateMachine):
    """Attributes are made by `open`: Hypothesis gives each run a machine of its own."""

    folder: tempfile.TemporaryDirectory[str]
    clock: FakeClock
    queue: DeadLetterQueue
    ids = Bundle("ids")

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="letters-")
        self.clock = FakeClock()
        self.model: dict[int, Letter] = {}
        self.replayed: list[int] = []
        self.reopen()

    @rule()
    def reopen(self) -> None:
        """As after the end of the process: nothing but the database is left."""
        if hasattr(self, "queue"):
            self.queue.close()
        self.queue = DeadLetterQueue(
            f"sqlite:///{Path(self.folder.name) / 'letters.db'}",
            max_replays=MAX_REPLAYS,
            replay_backoff=BACKOFF,
            max_replay_backoff=MAX_BACKOFF,
            clock=self.clock,
        )
        self.queue.handler("works")(lambda letter: self.replayed.append(letter.id))
        self.queue.handler("fails")(self.fail)

    def fail(self, letter: DeadLetter) -> None:
        self.replayed.append(letter.id)
        raise ConnectionError

    @rule(target=ids, payload=JSON, works=st.booleans())
    def add(self, payload: Any, works: bool) -> int:
        now = self.clock.time()
        letter_id = self.queue.add("works" if works else "fails", payload)
        assert letter_id not in self.model
        assert letter_id > max(self.model, default=0)
        self.model[letter_id] = Letter(payload, works, now, now)
        return letter_id

    @rule(seconds=st.sampled_from([1.0, BACKOFF, MAX_BACKOFF, 100.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(limit=st.integers(1, 4))
    def replay(self, limit: int) -> None:
        now = self.clock.time()
        due = [i for i, letter in sorted(self.model.items()) if not letter.is_discarded and letter.available_at <= now]
        self.expect(due[:limit], self.queue.replay(limit=limit))

    @rule(letter_id=ids)
    def replay_one(self, letter_id: int) -> None:
        if letter_id in self.model:
            self.expect([letter_id], self.queue.replay(ids=[letter_id]))
        else:
            self.expect_not_found(lambda: self.queue.replay(ids=[letter_id]))

    @rule(letter_id=ids)
    def discard(self, letter_id: int) -> None:
        if letter_id in self.model:
            self.queue.discard(letter_id)
            self.model[letter_id].is_discarded = True
        else:
            self.expect_not_found(lambda: self.queue.discard(letter_id))

    @rule(
        state=st.sampled_from([None, LetterState.WAITING, LetterState.DISCARDED]),
        older_than=st.none() | st.sampled_from([0.0, 1.0, 50.0]),
    )
    def purge(self, state: LetterState | None, older_than: float | None) -> None:
        gone = [
            letter_id
            for letter_id, letter in self.model.items()
            if state in (None, LetterState.DISCARDED if letter.is_discarded else LetterState.WAITING)
            and (older_than is None or letter.stored_at <= self.clock.time() - older_than)
        ]
        assert self.queue.purge(state=state, older_than=older_than) == len(gone)
        for letter_id in gone:
            del self.model[letter_id]

    def expect(self, letter_ids: list[int], report: ReplayReport) -> None:
        """Replay these letters in the model, and compare what the queue did."""
        outcomes = {"replayed": 0, "failed": 0, "discarded": 0}
        for letter_id in letter_ids:
            letter = self.model[letter_id]
            letter.replays += 1
            letter.is_discarded = not letter.works and letter.replays >= MAX_REPLAYS
            if letter.works:
                del self.model[letter_id]
                outcomes["replayed"] += 1
            else:
                letter.available_at = self.clock.time() + min(BACKOFF * 2 ** (letter.replays - 1), MAX_BACKOFF)
                outcomes["discarded" if letter.is_discarded else "failed"] += 1
        assert report == ReplayReport(**outcomes)
        assert self.replayed == letter_ids
        self.replayed.clear()

    @staticmethod
    def expect_not_found(call: Any) -> None:
        try:
            call()
        except DeadLetterNotFoundError:
            return
        raise AssertionError("a letter that is gone was found")

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "queue"):
            return
        found = {
            letter.id: Letter(
                letter.payload,
                letter.operation == "works",
                letter.stored_at,
                letter.available_at,
                letter.replays,
                letter.state is LetterState.DISCARDED,
            )
            for letter in self.queue.list(state=None, limit=1000)
        }
        assert found == self.model
        waiting = [letter.stored_at for letter in self.model.values() if not letter.is_discarded]
        assert self.queue.size() == len(waiting)
        assert self.queue.oldest_age() == (self.clock.time() - min(waiting) if waiting else None)

    def teardown(self) -> None:
        if hasattr(self, "queue"):
            self.queue.close()
            self.folder.cleanup()


TestDeadLetters = DeadLetters.TestCase
TestDeadLetters.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
