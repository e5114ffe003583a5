"""The line of those who wait for a permit: first come, first served, over threads and event loops alike.

Nobody depends on another's being awake: whoever comes by serves the line up to the present, and each waiter comes by at
the latest when its own turn is due. One that sleeps on in a blocked loop, or died with its loop, holds up none behind it.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from spanguard.clock import Clock, first_of
from spanguard.rate_limiter.deciding import Engine
from spanguard.rate_limiter.status import RateLimitStatus

_LONGEST_SLEEP: Final = 86_400.0  # what every platform's sleep can take; who wakes early looks and sleeps on


class Waiter:
    """One request in the line.

    Attributes:
        key: whose permits it waits for.
        tokens: how many.
        due: the moment at which its turn comes at the latest.
        status: the decision, once there is one.
    """

    __slots__ = ("due", "key", "status", "tokens")

    def __init__(self, key: str, tokens: int) -> None:
        self.key = key
        self.tokens = tokens
        self.due = 0
        self.status: RateLimitStatus | None = None

    def wake(self) -> bool:
        """Let it look again, from any thread. False if nobody is left to look."""
        raise NotImplementedError

    def rearm(self) -> None:
        """Take note of the next `wake`. To be called before looking, so that none is missed."""
        raise NotImplementedError


class ThreadWaiter(Waiter):
    """A thread in the line."""

    __slots__ = ("_event",)

    def __init__(self, key: str, tokens: int) -> None:
        super().__init__(key, tokens)
        self._event = threading.Event()

    def wake(self) -> bool:
        """Wake the thread."""
        self._event.set()
        return True

    def rearm(self) -> None:
        """Take note of the next `wake`. To be called before looking, so that none is missed."""
        self._event.clear()

    def sleep(self, clock: Clock, seconds: float) -> None:
        """Sleep so long, or until the next `wake`."""
        clock.wait(self._event, min(seconds, _LONGEST_SLEEP))


class TaskWaiter(Waiter):
    """A task in the line."""

    __slots__ = ("_loop", "_nudge")

    def __init__(self, key: str, tokens: int) -> None:
        super().__init__(key, tokens)
        self._loop = asyncio.get_running_loop()
        self._nudge = self._loop.create_future()

    def wake(self) -> bool:
        """Wake the task. False if its loop is closed."""
        try:
            self._loop.call_soon_threadsafe(_resolve, self._nudge)
        except RuntimeError:
            return False
        return True

    def rearm(self) -> None:
        """Take note of the next `wake`. To be called before looking, so that none is missed."""
        self._nudge = self._loop.create_future()

    async def sleep(self, clock: Clock, seconds: float) -> None:
        """Sleep so long, or until the next `wake`."""
        await first_of(self._nudge, clock.sleep_async(min(seconds, _LONGEST_SLEEP)))


class Line:
    """The waiters of one key, and those who were served but have not yet resumed. Not locked: who calls holds a lock.

    However late somebody comes by to serve it, each waiter gets its permit as of the moment when its turn came: what the
    engine earned since is for the next one and does not spill over.
    """

    __slots__ = ("_as_of", "_engine", "_grants", "_key", "_waiting", "behind")

    def __init__(self, engine: Engine, key: str) -> None:
        self._key = key
        self._waiting: OrderedDict[Waiter, None] = OrderedDict()
        self._as_of = 0
        self.behind = 0
        self._decide_by(engine)

    def __bool__(self) -> bool:
        return bool(self._waiting) or len(self._grants) > 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Waiter]:
        return iter(self._waiting)

    def join(self, waiter: Waiter, now: int) -> None:
        """Stand at the end. The line has just been served."""
        self._as_of = now
        self.behind += waiter.tokens
        waiter.due = self._engine.ready_at(self._key, self.behind, now)
        self._waiting[waiter] = None

    def take(self, tokens: int, now: int) -> RateLimitStatus:
        """Take permits for somebody who does not wait; who waits comes first."""
        self._grants.age(now)
        return self._engine.take(self._key, tokens, now, behind=self.behind)

    def peek(self, tokens: int, now: int) -> RateLimitStatus:
        """Say what `take` would, and take nothing."""
        # With somebody ahead `take` takes nothing either, and says how long that will last.
        return self.take(tokens, now) if self.behind else self._engine.peek(self._key, tokens, now)

    def serve(self, now: int) -> None:
        """Give permits to all whose turn has come, and tell the next one if its turn comes sooner than it thinks."""
        while self._waiting:
            first = next(iter(self._waiting))
            turn = max(self._engine.ready_at(self._key, first.tokens, self._as_of), self._as_of)
            if turn > now:
                if turn < first.due:
                    first.due = turn
                    first.wake()
                break
            self._remove(first)
            if first.wake():
                self._grants.age(turn)
                first.status = self._engine.take(self._key, first.tokens, turn)
                self._grants.add(first, first.tokens, turn)
                self._as_of = turn
        self._as_of = now

    def leave(self, waiter: Waiter, now: int) -> None:
        """Go without a permit; one that was already granted goes back."""
        self.serve(now)
        if waiter in self._waiting:
            self._remove(waiter)
        else:
            self._grants.give_back(waiter, now)
        self.serve(now)

    def resumed(self, waiter: Waiter) -> None:
        """Note that a served waiter has its permit in hand."""
        self._grants.keep(waiter)

    def change(self, engine: Engine, now: int) -> None:
        """Stand before another engine, which has inherited this key. Who asks for more than it can give is refused."""
        self._decide_by(engine)
        self._as_of = now
        ahead = 0
        for waiter in list(self._waiting):
            if waiter.tokens > engine.limit:
                self._remove(waiter)
                waiter.status = engine.peek(self._key, engine.limit, now)._replace(allowed=False, retry_after=math.inf)
            else:
                ahead += waiter.tokens
                waiter.due = engine.ready_at(self._key, ahead, now)
            waiter.wake()

    def _decide_by(self, engine: Engine) -> None:
        self._engine = engine
        self._grants = engine.grants(self._key)

    def _remove(self, waiter: Waiter) -> None:
        del self._waiting[waiter]
        self.behind -= waiter.tokens


def _resolve(nudge: asyncio.Future[None]) -> None:
    if not nudge.done():
        nudge.set_result(None)
