"""The seam between a limiter and what decides: who waits is the limiter's affair, who may go is the decider's.

Two levels, because a wait in this process can be planned to the tick, and one at a server cannot:

- An `Engine` holds all keys of one limit in this process's memory. It takes no lock and reads no clock: whoever calls
  holds a lock and says what time it is, so that a line of waiters can be served as of the moments when their turns came.
- A `Decider` is asked for a decision and finds lock and time itself, here or at a server. What it says is taken in one
  atomic step, over all of its rules at once: all of them admit, or none is charged.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Protocol

from spanguard.rate_limiter.rules import Rule
from spanguard.rate_limiter.status import RateLimitStatus


class Grants(Protocol):
    """Permits of one key that were given to holders who may yet hand them back. Not locked.

    A permit that time has earned again already, whoever took it, is worth nothing: handing it back as well would admit
    too many. So `age` is to be called before each `take` on the key for as long as there are grants.
    """

    def __len__(self) -> int:
        """How many holders there are."""
        ...

    def add(self, holder: Hashable, tokens: int, at: int) -> None:
        """Note what a `take` at the moment `at` gave."""
        ...

    def age(self, now: int) -> None:
        """Write off what was earned again by now."""
        ...

    def keep(self, holder: Hashable) -> None:
        """The holder uses its permits; one that holds none is no error."""
        ...

    def give_back(self, holder: Hashable, now: int) -> None:
        """Put back what is left of the holder's permits; one that holds none is no error."""
        ...


class Engine(Protocol):
    """All keys of one limit in memory. Not locked: who calls holds a lock. Moments are whole numbers: see `moment`.

    Moments given for one key never run backwards.
    """

    @property
    def limit(self) -> int:
        """The most permits at once; nobody may ask for more."""
        ...

    @property
    def per_tick(self) -> int:
        """How far moments move in a tick of 2**-30 s, the unit that all engines have in common."""
        ...

    @property
    def per_second(self) -> int:
        """How far moments move in a second."""
        ...

    def __len__(self) -> int:
        """How many keys are remembered."""
        ...

    def keys(self) -> Collection[str]:
        """Return the keys that are remembered."""
        ...

    def moment(self, seconds: float) -> int:
        """Return a reading of a monotonic clock as a moment of this engine."""
        ...

    def take(self, key: str, tokens: int, now: int, behind: int = 0) -> RateLimitStatus:
        """Take the permits if they are there; say what is left, or how long it takes until they are.

        Args:
            key: whose permits.
            tokens: how many, from 1 to `limit`.
            now: the present.
            behind: permits that others are waiting for and that come first; with any, the answer is no.
        """
        ...

    def peek(self, key: str, tokens: int, now: int) -> RateLimitStatus:
        """Say what `take` would, and take nothing."""
        ...

    def ready_at(self, key: str, tokens: int, now: int) -> int:
        """Return from when on so many permits are there if nobody else comes; `now` or earlier if they are.

        For more than `limit`, which only a line of waiters adds up to, it is when they could have been handed out one
        after the other: a moment that is never too late to look, and may be too early.
        """
        ...

    def grants(self, key: str) -> Grants:
        """Return an empty record of what may be handed back."""
        ...

    def clear(self, key: str) -> None:
        """Forget what was taken."""
        ...

    def drop_idle(self, now: int) -> None:
        """Forget every key that is as if it had never been used. Some go at each `take` anyway."""
        ...

    def inherit(self, other: Engine, now: int) -> None:
        """Charge every key what it has used of another engine, so that a change of the limit forgives nothing.

        To the tick from an engine of the same kind, in whole permits as of now from another.
        """
        ...


class Decider(Protocol):
    """What says who may go: `key` is any text, `tokens` from 1 to `limit`. Safe from threads."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What is kept to; several are kept to together, all or nothing."""
        ...

    @property
    def limit(self) -> int:
        """The most permits at once; nobody may ask for more."""
        ...

    def decide(self, key: str, tokens: int = 1) -> RateLimitStatus:
        """Take the permits if they are there, in one atomic step."""
        ...

    def peek(self, key: str, tokens: int = 1) -> RateLimitStatus:
        """Say what `decide` would, and take nothing."""
        ...

    def reset(self, key: str) -> None:
        """Forget what was taken."""
        ...


class AsyncDecider(Protocol):
    """A decider that is awaited; it never blocks the event loop."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What is kept to; several are kept to together, all or nothing."""
        ...

    @property
    def limit(self) -> int:
        """The most permits at once; nobody may ask for more."""
        ...

    async def decide(self, key: str, tokens: int = 1) -> RateLimitStatus:
        """Take the permits if they are there, in one atomic step."""
        ...

    async def peek(self, key: str, tokens: int = 1) -> RateLimitStatus:
        """Say what `decide` would, and take nothing."""
        ...

    async def reset(self, key: str) -> None:
        """Forget what was taken."""
        ...
