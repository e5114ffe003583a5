"""`RateLimiter`: who may go now, who waits how long, and who is turned away."""

from __future__ import annotations

import asyncio
import hashlib
import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from math import floor, isnan
from typing import Final, TypedDict, Unpack

from limits import RateLimitItem

from spanguard import semconv
from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.errors import ConfigurationError
from spanguard.forms import check_name
from spanguard.rate_limiter.decorating import F, Limiting
from spanguard.rate_limiter.desk import LocalDesk
from spanguard.rate_limiter.engines import TICKS_PER_SECOND
from spanguard.rate_limiter.errors import BlockingWaitError
from spanguard.rate_limiter.making import parsed_rules, same_shape
from spanguard.rate_limiter.rules import Rule, Strategy
from spanguard.rate_limiter.shared import SharedDesk
from spanguard.rate_limiter.sources import Sources, Storage, is_local
from spanguard.rate_limiter.stats import LimiterStats, Record
from spanguard.rate_limiter.status import RateLimitStatus
from spanguard.rate_limiter.storages import DEFAULT_TIMEOUT

DEFAULT_MAX_WAITERS: Final = 1000
LONGEST_KEY: Final = 200
"""Characters; a longer key is kept as its hash, so that nobody fills the memory with keys."""

_limiters: weakref.WeakSet[RateLimiter] = weakref.WeakSet()


class Options(TypedDict, total=False):
    """What every limiter takes besides its numbers and its name; see `RateLimiter`."""

    storage: Storage | None
    storage_timeout: float
    fallback_share: float | None
    max_waiters: int
    clock: Clock


class RateLimiter:
    """A rate limiter: one or more limits, kept to together, under a strategy.

    Safe from threads and event loops, also mixed. Each key has permits of its own; no key ever appears in a signal.

        limiter = RateLimiter("10/second; 1000/hour", name="search")
        if limiter.acquire():                                  # at once or not at all
            ...
        status = await limiter.acquire_async(wait=True, timeout=2.0)

        @limiter                                               # raises RateLimitExceededError
        def search(): ...

    Args:
        limits: in the notation of the `limits` library, or as its items; several must all admit, or none is charged.
        strategy: "token_bucket", "leaky_bucket", "leaky_bucket_queue", "sliding_window_log" or "sliding_window_estimate".
        name: the policy's name in every signal; the limits, if left out.
        storage: where the limits are shared with other processes: a URL of the `limits` library ("redis://...", with
            "+sentinel" or "+cluster", "valkey://..."), for threads and event loops, or one of its storages; None for this
            process alone. Limiters of one name share.
        storage_timeout: seconds that a decision waits for the server of the URL, for each of connecting and answering.
        fallback_share: the part of the limits that this process goes on with while that server is lost, such as 1 divided
            by the number of processes; None to raise `ResourceUnavailableError` instead.
        max_waiters: how many requests may stand in line at once, over all keys; one more is turned away at once.
        clock: where time comes from; a server has its own.

    Raises:
        ConfigurationError: a setting is out of range, unknown or does not parse, or the storage cannot decide exactly.
        ResourceUnavailableError: nobody answers at the storage's URL, and there is no `fallback_share`.
    """

    def __init__(
        self,
        limits: str | RateLimitItem | Iterable[RateLimitItem],
        *,
        strategy: Strategy = "token_bucket",
        name: str | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._start(parsed_rules(name, limits, strategy), str(limits) if name is None else name, **options)

    def _start(
        self,
        rules: Sequence[Rule],
        name: str,
        *,
        storage: Storage | None = None,
        storage_timeout: float = DEFAULT_TIMEOUT,
        fallback_share: float | None = None,
        max_waiters: int = DEFAULT_MAX_WAITERS,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._name = check_name("limiter", name)
        if max_waiters.__class__ is not int or max_waiters < 0:
            raise ConfigurationError(
                f"limiter {name!r}: max_waiters is {max_waiters!r}; it must be a whole number of at least 0"
            )
        self._rules = tuple(rules)
        self._monotonic = clock.monotonic
        self._record = Record(name, rules[0].strategy)
        self._acquired = self._record.acquired
        self._desk: LocalDesk | SharedDesk
        if storage is None or is_local(storage):
            if fallback_share is not None:
                raise ConfigurationError(
                    f"limiter {name!r}: fallback_share is for a storage that can be lost; give the limiter its URL, or "
                    "leave fallback_share out"
                )
            self._desk = LocalDesk(self._rules, self._record, max_waiters, clock)
        else:
            sources = Sources(
                storage, name, self._rules, timeout=storage_timeout, fallback_share=fallback_share, clock=clock
            )
            self._desk = SharedDesk(sources, self._rules, self._record, max_waiters, clock)
        self._bind()
        self._record.signals.observe(semconv.LIMITER_QUEUED_METRIC, self, _count_waiting)
        self._record.signals.observe(semconv.LIMITER_AVAILABLE_METRIC, self, _count_available)
        _limiters.add(self)

    def _bind(self) -> None:
        """Take out of the desk what the short way of `acquire` needs; at a shared storage there is none."""
        self._lock = self._desk.lock
        self._at_once = 0
        if isinstance(self._desk, LocalDesk):
            self._take = self._desk.engine.take
            self._per_tick = self._desk.engine.per_tick
            self._lines = self._desk.lines
            self._at_once = self._desk.engine.limit

    @property
    def name(self) -> str:
        """The policy's name."""
        return self._name

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The limits, in exact numbers."""
        return self._rules

    def __repr__(self) -> str:
        limits = ", ".join(f"{rule.limit} in {float(rule.period):g} s" for rule in self._rules)
        return f"{type(self).__name__}({limits}, strategy={self._rules[0].strategy!r}, name={self._name!r})"

    def acquire(
        self, tokens: int = 1, *, wait: bool = False, timeout: float | None = None, key: str = ""
    ) -> RateLimitStatus:
        """Ask for permits.

        Args:
            tokens: how many, from 1 to the most that the limiter can give at once.
            wait: stand in line, first come, first served, until they are there.
            timeout: seconds to wait at most. A request whose turn would come later is told so at once.
            key: whose permits; each key has its own. Who waits on one key holds up no other.

        Returns:
            The decision, true if the permits were given; `retry_after` says when to come back.

        Raises:
            ConfigurationError: more tokens than can ever be given were asked for, or fewer than one; the key is no text,
                or a timeout makes no sense.
            BlockingWaitError: `wait`, or a shared storage, in a thread that runs an event loop; await `acquire_async` there.
            ResourceUnavailableError: the shared storage does not answer, and there is no `fallback_share`.
        """
        # The way that most calls go, written out; whatever is not plain begins again below.
        if not wait and timeout is None and tokens.__class__ is int and key.__class__ is str:
            with self._lock:
                if 0 < tokens <= self._at_once and len(key) <= LONGEST_KEY and not self._lines:
                    status = self._take(key, tokens, floor(self._monotonic() * TICKS_PER_SECOND) * self._per_tick)
                    if status.allowed:
                        self._acquired.value += 1
                        return status
        if wait and asyncio._get_running_loop() is not None:  # noqa: SLF001 - the public getter raises, at a microsecond each
            raise BlockingWaitError(
                f"limiter {self._name!r}: acquire(wait=True) would block the event loop of this thread; "
                "use `await acquire_async(wait=True)`"
            )
        return self._desk.acquire(self._checked(key, tokens, wait, timeout), tokens, wait, timeout)

    async def acquire_async(
        self,
        tokens: int = 1,
        *,
        wait: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - it decides who may stand in line; it does not cut a wait short
        key: str = "",
    ) -> RateLimitStatus:
        """Ask for permits, as `acquire` does; a wait suspends only this task. A cancelled wait uses no permit."""
        if not wait and self._at_once:
            return self.acquire(tokens, timeout=timeout, key=key)
        return await self._desk.acquire_async(self._checked(key, tokens, wait, timeout), tokens, wait, timeout)

    def try_acquire(self, tokens: int = 1, *, key: str = "") -> bool:
        """Take permits if they are there; tell whether they were. `acquire` for who wants to know no more."""
        return self.acquire(tokens, key=key).allowed

    def peek(self, tokens: int = 1, *, key: str = "") -> RateLimitStatus:
        """Say what `acquire` would, and take nothing. Nobody is bound to it: the next request may be another's."""
        return self._desk.peek(self._checked(key, tokens), tokens)

    async def peek_async(self, tokens: int = 1, *, key: str = "") -> RateLimitStatus:
        """Say what `acquire_async` would, and take nothing."""
        return await self._desk.peek_async(self._checked(key, tokens), tokens)

    def reset(self, *, key: str = "") -> None:
        """Forget what the key used, as if it had never come; those who wait for it are served as far as it goes."""
        self._desk.reset(self._checked(key, 1))

    async def reset_async(self, *, key: str = "") -> None:
        """Forget what the key used, as `reset` does."""
        await self._desk.reset_async(self._checked(key, 1))

    async def aclose(self) -> None:
        """Close the connections to a shared storage that were opened for the running event loop, before that ends.

        The limiter can be used on. A storage that it was given as an object is closed by whom it belongs to.
        """
        await self._desk.aclose()

    def limiting(
        self,
        tokens: int = 1,
        *,
        wait: bool = False,
        timeout: float | None = None,
        key: str | Callable[..., str] = "",
    ) -> Limiting:
        """Return a decorator and context manager; what it guards takes permits first, or raises `RateLimitExceededError`.

        Args:
            tokens: how many, for each call or block.
            wait: as in `acquire`; in a coroutine function and under `async with` as in `acquire_async`.
            timeout: as in `acquire`.
            key: whose permits; for a decorated function also what makes the key out of its arguments.

        Raises:
            ConfigurationError: as `acquire`.
        """
        self._checked("" if callable(key) else key, tokens, wait, timeout)
        return Limiting(self, tokens, wait, timeout, key)

    def __call__(self, function: F) -> F:
        """Decorate a function, sync or async: each call takes one permit, or is not run.

        The decorated function raises `RateLimitExceededError` where there is no permit.
        """
        return self.limiting()(function)

    def stats(self) -> LimiterStats:
        """Return what the limiter did since it was made, or since this process was forked."""
        return self._desk.stats()

    def change_limits(self, limits: str | RateLimitItem | Iterable[RateLimitItem]) -> None:
        """Have other limits from now on, as many as before. What was used stays used, and those who wait keep their places.

        Raises:
            ConfigurationError: they do not parse, a number is out of range, or there are more or fewer than before.
        """
        self._change(parsed_rules(self._name, limits, self._rules[0].strategy))

    def _change(self, rules: Sequence[Rule]) -> None:
        """Go on under other numbers. What was used stays used, and those who wait keep their places."""
        if not same_shape(self._rules, rules):
            raise ConfigurationError(
                f"limiter {self._name!r}: its strategy and how many limits it has cannot change while it runs"
            )
        self._desk.change(rules, self._bind)
        self._rules = tuple(rules)

    def _checked(self, key: str, tokens: int, wait: bool = False, timeout: float | None = None) -> str:
        """Return the key under which permits are kept."""
        if key.__class__ is not str:
            raise ConfigurationError(f"limiter {self._name!r}: the key is a {type(key).__name__}; it must be a str")
        if tokens.__class__ is not int or not 1 <= tokens <= self._desk.limit:
            raise ConfigurationError(
                f"limiter {self._name!r}: {tokens!r} tokens were asked for; it can give whole numbers from 1 to "
                f"{self._desk.limit} at once"
            )
        if timeout is not None and not wait:
            raise ConfigurationError(
                f"limiter {self._name!r}: timeout={timeout!r} has no meaning without wait=True; add that, or leave it out"
            )
        if timeout is not None and (isnan(timeout) or timeout < 0):
            raise ConfigurationError(
                f"limiter {self._name!r}: timeout is {timeout!r}; it must be 0 or more seconds, or None for no end"
            )
        return key if len(key) <= LONGEST_KEY else hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()

    def _start_again(self) -> None:
        self._desk.start_again()
        self._bind()


def _count_waiting(limiter: RateLimiter) -> int:
    return limiter._desk.waiting  # noqa: SLF001 - its own module


def _count_available(limiter: RateLimiter) -> int:
    return limiter._desk.available()  # noqa: SLF001 - its own module


def _restart_all() -> None:
    for limiter in list(_limiters):
        limiter._start_again()  # noqa: SLF001 - its own module


os.register_at_fork(after_in_child=_restart_all)
