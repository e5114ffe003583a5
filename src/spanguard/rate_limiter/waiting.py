"""The line of those who wait for a permit: first come, first served, over threads and event loops alike.

Nobody depends on another's being awake: whoever comes by serves the line up to the present, and each waiter comes by at
the latest when its own turn is due. One that sleeps on in a blocked loop, or died with its loop, holds up none behind it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator

from spanguard.rate_limiter.buckets import TokenBuckets
from spanguard.rate_limiter.status import RateLimitStatus


class Waiter:
    """One request in the line.

    Attributes:
        due: the moment at which its turn comes at the latest.
        status: the decision, once it was served.
    """

    __slots__ = ("due", "key", "status", "tokens")

    def __init__(self, key: str, tokens: int) -> None:
        self.key = key
        self.tokens = tokens
        self.due = 0
        self.status: RateLimitStatus | None = None

    def wake(self) -> bool:
        """Let it look again. False if nobody is left to look.

        A thread cannot be woken out of a clock's sleep: it looks when its turn is due, though that may have come
        earlier because somebody ahead of it gave up.
        """
        return True


class AsyncWaiter(Waiter):
    """A waiter that an event loop can wake."""

    __slots__ = ("_loop", "_nudge")

    def __init__(self, key: str, tokens: int) -> None:
        super().__init__(key, tokens)
        self._loop = asyncio.get_running_loop()
        self._nudge = self._loop.create_future()

    def wake(self) -> bool:
        """Let it look again, from any thread. False if its loop is closed."""
        try:
            self._loop.call_soon_threadsafe(_resolve, self._nudge)
        except RuntimeError:
            return False
        return True

    def rearm(self) -> asyncio.Future[None]:
        """Return what the next `wake` resolves. To be called before looking, so that no wake is missed."""
        self._nudge = self._loop.create_future()
        return self._nudge


class Line:
    """The waiters of one key, and those who were served but have not yet resumed. Not locked: who calls holds a lock.

    However late somebody comes by to serve it, each waiter gets its permit as of the moment when its turn came: what the
    bucket earned since is for the next one and does not spill over.
    """

    __slots__ = ("_as_of", "_buckets", "_key", "_served", "_waiting", "behind")

    def __init__(self, buckets: TokenBuckets, key: str) -> None:
        self._buckets = buckets
        self._key = key
        self._waiting: OrderedDict[Waiter, None] = OrderedDict()
        self._served: dict[Waiter, int] = {}
        self._as_of = 0
        self.behind = 0

    def __bool__(self) -> bool:
        return bool(self._waiting or self._served)

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Waiter]:
        return iter(self._waiting)

    def join(self, waiter: Waiter, now: int) -> None:
        """Stand at the end. The line has just been served."""
        self._as_of = now
        self.behind += waiter.tokens
        waiter.due = self._buckets.ready_at(self._key, self.behind)
        self._waiting[waiter] = None

    def take(self, tokens: int, now: int) -> RateLimitStatus:
        """Take tokens from the bucket for somebody who does not wait; who waits comes first."""
        self._trim_refunds(now)
        return self._buckets.take(self._key, tokens, now, behind=self.behind)

    def serve(self, now: int) -> None:
        """Give permits to all whose turn has come, and tell the next one if its turn comes sooner than it thinks."""
        while self._waiting:
            first = next(iter(self._waiting))
            turn = max(self._buckets.ready_at(self._key, first.tokens), self._as_of)
            if turn > now:
                if turn < first.due:
                    first.due = turn
                    first.wake()
                return
            del self._waiting[first]
            self.behind -= first.tokens
            if first.wake():
                self._trim_refunds(turn)
                first.status = self._buckets.take(self._key, first.tokens, turn)
                self._served[first] = first.tokens * self._buckets.unit
                self._as_of = turn

    def leave(self, waiter: Waiter, now: int) -> None:
        """Go without a permit; one that was already granted goes back to the bucket."""
        self.serve(now)
        if waiter in self._waiting:
            del self._waiting[waiter]
            self.behind -= waiter.tokens
        else:
            self._buckets.give_back(self._key, self._served.pop(waiter, 0))
        self._as_of = now
        self.serve(now)

    def move(self, buckets: TokenBuckets, now: int) -> None:
        """Go on with another limit's buckets, in the same order. The line has just been served.

        Who waits for more than these can ever hold gets as much as they can hold.
        """
        former, self._buckets = self._buckets, buckets
        self._as_of = now
        self._served = {waiter: units * buckets.unit // former.unit for waiter, units in self._served.items()}
        self.behind = 0
        for waiter in self._waiting:
            waiter.tokens = min(waiter.tokens, buckets.burst)
            self.behind += waiter.tokens
            waiter.due = buckets.ready_at(self._key, self.behind)
            waiter.wake()

    def resumed(self, waiter: Waiter) -> None:
        """Note that a served waiter has its permit in hand."""
        self._served.pop(waiter, None)

    def _trim_refunds(self, now: int) -> None:
        # What a full bucket could not have held is earned again already: to give it back as well would admit too many.
        left = self._buckets.debt(self._key, now)
        for waiter, units in self._served.items():
            self._served[waiter] = min(units, left)
            left -= self._served[waiter]


def _resolve(nudge: asyncio.Future[None]) -> None:
    if not nudge.done():
        nudge.set_result(None)
