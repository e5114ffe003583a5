"""The letters that a replay takes, one after the other, each under a lease of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from spanguard.clock import Clock
from spanguard.error_handling.dead_letter.errors import DeadLetterLeasedError, DeadLetterNotFoundError
from spanguard.error_handling.dead_letter.letter import DeadLetter
from spanguard.error_handling.dead_letter.replaying import Replay
from spanguard.error_handling.dead_letter.settings import DeadLetterSettings
from spanguard.error_handling.dead_letter.signals import say_replayed
from spanguard.errors import ConfigurationError

if TYPE_CHECKING:  # it imports SQLAlchemy, which is for who has a queue
    from spanguard.error_handling.dead_letter.store import Store


@dataclass(frozen=True, slots=True)
class Claims:
    """What can be claimed in one queue, and the errors that say what cannot."""

    queue: str
    store: Store
    settings: DeadLetterSettings
    clock: Clock

    def find(self, letter_id: int) -> DeadLetter:
        """Return one letter.

        Raises:
            DeadLetterNotFoundError: there is none.
        """
        letter = self.store.find(letter_id)
        if letter is None:
            raise DeadLetterNotFoundError(
                f"dead-letter queue {self.queue!r} has no letter {letter_id}; it was replayed or purged, or never was."
            )
        return letter

    def take(self, operations: tuple[str, ...], ids: Iterable[int] | None, limit: int) -> Iterator[Replay]:
        """Claim, one at a time, the letters of these operations that are due, or those with these ids."""
        for letter in self.store.discard_worn_out(self.settings.max_replays, self.clock.time()):
            say_replayed(letter, "discarded")
        if ids is not None:
            yield from (self._claim_one(operations, letter_id) for letter_id in ids)
            return
        after = 0
        for _ in range(limit):
            claimed = self._claim(operations, after=after)
            if claimed is None:
                return
            after = claimed.letter.id
            yield claimed

    def leased(self, letter_id: int) -> DeadLetterLeasedError:
        """Return the error of a letter that somebody replays."""
        return DeadLetterLeasedError(
            f"dead-letter queue {self.queue!r}: letter {letter_id} is being replayed; wait for its end, or until the lease "
            f"of {self.settings.lease} s lapses."
        )

    def _claim_one(self, operations: tuple[str, ...], letter_id: int) -> Replay:
        claimed = self._claim(operations, letter_id=letter_id)
        if claimed is not None:
            return claimed
        operation = self.find(letter_id).operation
        if operation in operations:
            raise self.leased(letter_id)
        raise ConfigurationError(
            f"dead-letter queue {self.queue!r}: letter {letter_id} is of the operation {operation!r}, for which no handler "
            "is registered; the letter stays."
        )

    def _claim(self, operations: tuple[str, ...], *, after: int = 0, letter_id: int | None = None) -> Replay | None:
        token, now = uuid4().hex, self.clock.time()
        letter = self.store.claim(
            token, operations=operations, after=after, letter_id=letter_id, now=now, lease=self.settings.lease
        )
        return None if letter is None else Replay(letter, token, self.store, self.settings, self.clock)
