"""What goes on when the shared storage does not answer: a local share of the limit, from the first failure on.

While the storage is lost no decision asks it: a thread or task in the background does, at random moments about a second
apart. At most `share` of the limit is admitted in each process meanwhile, whatever the others do.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from fractions import Fraction
from typing import Any, Final, Protocol, TypeVar

from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.errors import ConfigurationError, ResourceUnavailableError
from spanguard.rate_limiter.deciding import AsyncDecider, Decider
from spanguard.rate_limiter.rules import Rule, exact
from spanguard.rate_limiter.status import RateLimitStatus
from spanguard.rate_limiter.storages.memory import MemoryDecider, Rules
from spanguard.rate_limiter.storages.opening import DEFAULT_TIMEOUT
from spanguard.rate_limiter.storages.watch import TRY_AGAIN, Watch

_GRACE: Final = 0.2
"""The part of the timeout that a decision waits longer, for an answer that is here but was not read."""

T = TypeVar("T")


class Shared(Decider, Protocol):
    """A decider whose storage may be lost: it raises `ResourceUnavailableError` then."""

    def probe(self, key: str) -> None:
        """Find out whether a key could be decided on again."""
        ...


class AsyncShared(AsyncDecider, Protocol):
    """A `Shared` that is awaited."""

    async def probe(self, key: str) -> None:
        """Find out whether a key could be decided on again."""
        ...


class LocalShare:
    """The share of a limit that this process may admit by itself.

    Args:
        name: the limiter's name, for the error.
        rules: the shared limit.
        share: the part of it, more than 0 and at most 1. Of N processes, each with a share of 1/N, at most the limit is
            admitted. A share of less than one permit is one permit in a longer time.
        clock: where time comes from.

    Raises:
        ConfigurationError: the share is out of range.
    """

    def __init__(self, name: str, rules: Rules, share: float, *, clock: Clock = SYSTEM_CLOCK) -> None:
        if share.__class__ not in (int, float) or not (math.isfinite(share) and 0 < share <= 1):
            raise ConfigurationError(
                f"limiter {name!r}: fallback_share is {share!r}; it must be more than 0 and at most 1, such as 1 divided by "
                "the number of processes"
            )
        self._decider = MemoryDecider(tuple(_part(rule, exact(share)) for rule in rules), clock=clock)

    def decide(self, key: str, tokens: int, *, take: bool) -> RateLimitStatus:
        """Decide on the share."""
        if tokens > self._decider.limit:
            # More than the share can ever give, but not more than the limit: it is for the storage to admit.
            present = self._decider.peek(key)
            return present._replace(allowed=False, retry_after=TRY_AGAIN[1], delay=0.0, fallback=True)
        return (self._decider.decide if take else self._decider.peek)(key, tokens)._replace(fallback=True)

    def reset(self, key: str) -> None:
        """Forget what was taken of the share."""
        self._decider.reset(key)

    def inherit(self, former: LocalShare) -> None:
        """Charge what was taken of a former share."""
        self._decider.inherit(former._decider)


class Fallback:
    """What the deciders of one limiter have in common while its storage is lost: the share, and who looks for it.

    Args:
        name: the policy's name in the signals.
        rules: the shared limit.
        share: as for `LocalShare`.
        clock: where time comes from.
        former: whose place it takes after a change of the limit; what was taken of that share stays taken.

    Raises:
        ConfigurationError: the share is out of range.
    """

    def __init__(
        self, name: str, rules: Rules, share: float, *, clock: Clock = SYSTEM_CLOCK, former: Fallback | None = None
    ) -> None:
        self._local = LocalShare(name, rules, share, clock=clock)
        if former is not None:
            self._local.inherit(former._local)  # noqa: SLF001 - its own class
        self._watch = Watch(name, clock=clock)

    def around(self, shared: Shared) -> FallbackDecider:
        """Return a decider for threads that goes on when `shared` is lost. It is asked whether it answers now.

        A server that is not there does not keep a service from starting: that is seen at once, but it is no error.
        """
        decider = FallbackDecider(shared, self._local, self._watch)
        decider.begin()
        return decider

    def around_async(self, shared: AsyncShared, timeout: float = DEFAULT_TIMEOUT) -> AsyncFallbackDecider:
        """Return a decider for an event loop that goes on when `shared` is lost or takes longer than `timeout` seconds."""
        return AsyncFallbackDecider(shared, self._local, self._watch, timeout)


class FallbackDecider:
    """Decides at the shared storage, and on the local share while that does not answer.

    Args:
        shared: what decides at the storage.
        local: the share.
        watch: knows whether the storage answers.
    """

    def __init__(self, shared: Shared, local: LocalShare, watch: Watch) -> None:
        self.rules = shared.rules
        self.limit = shared.limit
        self._shared = shared
        self._local = local
        self._watch = watch
        self._key = ""

    def decide(self, key: str, tokens: int = 1) -> RateLimitStatus:
        """Take the permits if they are there, in one atomic step; never raises for a lost storage."""
        return self._ask(key, tokens, take=True)

    def peek(self, key: str, tokens: int = 1) -> RateLimitStatus:
        """Say what `decide` would, and take nothing."""
        return self._ask(key, tokens, take=False)

    def reset(self, key: str) -> None:
        """Forget what was taken; of a lost storage, only what was taken of the local share."""
        self._local.reset(key)
        if not self._watch.is_degraded:
            try:
                self._shared.reset(key)
            except ResourceUnavailableError as error:
                self._lose(key, error)

    def begin(self) -> None:
        """Find out at once whether the storage answers."""
        try:
            self._shared.probe("")
        except ResourceUnavailableError as error:
            self._lose("", error)

    def probe(self) -> None:
        """Find out whether the storage answers again."""
        self._shared.probe(self._key)

    def _ask(self, key: str, tokens: int, *, take: bool) -> RateLimitStatus:
        if not self._watch.is_degraded:
            try:
                return (self._shared.decide if take else self._shared.peek)(key, tokens)
            except ResourceUnavailableError as error:
                self._lose(key, error)
        self._watch.keep_probing(self.probe)
        return self._local.decide(key, tokens, take=take)

    def _lose(self, key: str, error: BaseException) -> None:
        # In a cluster, the part of it that failed is the one to be asked again.
        self._key = key
        self._watch.lose(error.__cause__ or error)
        self._watch.keep_probing(self.probe)


class AsyncFallbackDecider:
    """A `FallbackDecider` to be awaited.

    Args:
        shared: what decides at the storage.
        local: the share.
        watch: knows whether the storage answers.
        timeout: seconds that a decision waits for the storage.
    """

    def __init__(self, shared: AsyncShared, local: LocalShare, watch: Watch, timeout: float) -> None:
        self.rules = shared.rules
        self.limit = shared.limit
        self._shared = shared
        self._local = local
        self._watch = watch
        self._timeout = timeout
        self._key = ""

    async def decide(self, key: str, tokens: int = 1) -> RateLimitStatus:
        """Take the permits if they are there, in one atomic step; never raises for a lost storage."""
        return await self._ask(key, tokens, take=True)

    async def peek(self, key: str, tokens: int = 1) -> RateLimitStatus:
        """Say what `decide` would, and take nothing."""
        return await self._ask(key, tokens, take=False)

    async def reset(self, key: str) -> None:
        """Forget what was taken; of a lost storage, only what was taken of the local share."""
        self._local.reset(key)
        if not self._watch.is_degraded:
            try:
                await self._in_time(self._shared.reset(key))
            except ResourceUnavailableError as error:
                self._lose(key, error)

    async def probe(self) -> None:
        """Find out whether the storage answers again."""
        await self._in_time(self._shared.probe(self._key))

    async def _ask(self, key: str, tokens: int, *, take: bool) -> RateLimitStatus:
        if not self._watch.is_degraded:
            try:
                return await self._in_time((self._shared.decide if take else self._shared.peek)(key, tokens))
            except ResourceUnavailableError as error:
                self._lose(key, error)
        self._watch.keep_probing_async(self.probe)
        return self._local.decide(key, tokens, take=take)

    def _lose(self, key: str, error: BaseException) -> None:
        self._key = key
        self._watch.lose(error.__cause__ or error)
        self._watch.keep_probing_async(self.probe)

    async def _in_time(self, asking: Coroutine[Any, Any, T]) -> T:
        task = asyncio.ensure_future(asking)
        task.add_done_callback(_retrieve)
        try:
            await asyncio.wait({task}, timeout=self._timeout)
            if not task.done():
                # If the loop itself was held up, the answer may be here and only wants to be read.
                await asyncio.wait({task}, timeout=self._timeout * _GRACE)
        finally:
            task.cancel()
        if not task.done():
            raise ResourceUnavailableError("the rate limiter's server did not answer in time") from TimeoutError()
        return task.result()


def _part(rule: Rule, share: Fraction) -> Rule:
    permits = rule.limit * share
    if permits >= 1:
        return Rule(rule.strategy, math.floor(permits), rule.period)
    return Rule(rule.strategy, 1, rule.period / permits)


def _retrieve(task: asyncio.Future[Any]) -> None:
    # Who gave up on it does not ask how it ended, and the loop would complain of that.
    if not task.cancelled():
        task.exception()
