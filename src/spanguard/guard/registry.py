"""The guards of a process, and the policies of the profile that they are made of."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spanguard import semconv
from spanguard.config_manager import Profile
from spanguard.error_handling import DeadLetterQueue
from spanguard.errors import ConfigurationError, ResourceUnavailableError
from spanguard.guard.book import EMPTY, Book, new_queue, read
from spanguard.guard.composing import Composition
from spanguard.guard.limiting import is_as_declared, new_limiter, unchangeable
from spanguard.guard.outline import contradictions
from spanguard.guard.pipeline import OFF, Pipeline
from spanguard.guard.room import Room
from spanguard.guard.stats import GuardStats
from spanguard.rate_limiter import RateLimiter, rate_limit_manager
from spanguard.telemetry import emit

if TYPE_CHECKING:
    from spanguard.guard.guarding import Guard


@dataclass(frozen=True, slots=True)
class Draft:
    """A profile in which nothing is wrong, ready to be taken over.

    Attributes:
        profile: the profile.
        book: what it declares.
        queues: the dead-letter queues that come new.
        limiters: the rate limiters that come new.
    """

    profile: Profile
    book: Book
    queues: dict[str, DeadLetterQueue]
    limiters: dict[str, RateLimiter]


class GuardRegistry:
    """All guards that the code has made, and the profile that they go by. One instance serves the process: `guards`."""

    def __init__(self) -> None:
        # Re-entrant: a guard may be asked for its policies in a garbage collection inside the lock.
        self._lock = threading.RLock()
        self._guards: weakref.WeakSet[Guard] = weakref.WeakSet()
        self._profile: Profile | None = None
        self._book = EMPTY
        self._room = Room()
        self._times_off = 0

    def reconfigure(self, profile: Profile) -> None:
        """Go by this profile from now on, the first one or another: all of it, or nothing if anything is wrong.

        Policies that stay keep their state: a breaker its window and counts, a limiter what was used, a bulkhead its
        permits and its queue, a retry budget what was spent. A call that is under way ends as it began.

        Raises:
            ConfigurationError: all that is wrong with the profile, and with the guards that the code has made so far.
        """
        self.apply(self.check(profile))

    def check(self, profile: Profile) -> Draft:
        """Return what `apply` takes, if nothing is wrong; nothing changes.

        Raises:
            ConfigurationError: as `reconfigure` raises it.
        """
        book, problems = read(profile)
        queues: dict[str, DeadLetterQueue] = {}
        with self._lock:
            former, living = self._book, list(self._guards)
        for name, settings in book.dead_letters.items():
            if name not in former.dead_letters:
                try:
                    queues[name] = new_queue(name, settings)
                except ConfigurationError as error:
                    problems += error.problems
            elif settings != former.dead_letters[name]:
                problems.append(f"dead_letters.{name} cannot change while the system runs; restart it.")
        problems += _of_storages(former, book)
        problems += _of_limiters(former, book)
        limiters = _new_limiters(former, book, problems)
        if not problems:  # or else a policy that is wrong would be told twice, the second time as missing
            problems += _of_guards(living, book)
        if problems:
            raise ConfigurationError(list(dict.fromkeys(problems)))
        return Draft(profile, book, queues, limiters)

    def apply(self, draft: Draft) -> None:
        """Take over a draft of `check`."""
        with self._lock:
            former, self._profile = self._profile, draft.profile
            former_book, self._book = self._book, draft.book
            dropped = self._room.rearrange(former_book, draft.book, draft.queues, draft.limiters)
            self._forget_pipelines()
        for queue in dropped:
            queue.close()
        if former is not None and (changed := changed_sections(former, draft.profile)):
            emit(
                semconv.CONFIG_RELOAD_EVENT,
                {semconv.CONFIG_SECTIONS.key: ",".join(changed)},
                body=f"a changed profile was taken over: {', '.join(changed)}",
            )

    def resolve(self, guard: Guard) -> Pipeline:
        """Return the way of a guard's calls, put together at the first call after each change.

        Raises:
            ConfigurationError: it has no policy, or what it is made of contradicts itself.
        """
        with self._lock:
            self._guards.add(guard)
            known = guard.adopted  # another thread may have come first
            if known is not None:
                return known
            if self._times_off:
                guard.adopt_pipeline(OFF)
                return OFF
            composition = Composition(guard.name, guard.declaration, self._book)
            problems = composition.problems or list(contradictions(composition.outline()))
            if problems:
                raise ConfigurationError(problems)
            pipeline = composition.pipeline(self._room, guard.deadline(composition.deadline))
            guard.adopt_pipeline(pipeline)
            return pipeline

    def declare(self, guard: Guard) -> None:
        """Take in a guard that the code has made."""
        with self._lock:
            self._guards.add(guard)

    def names(self) -> list[str]:
        """Return the names of all guards that the code has made."""
        with self._lock:
            return sorted({guard.name for guard in self._guards})

    def stats(self) -> dict[str, GuardStats]:
        """Return what is known of each guard that can be called now, by its name."""
        with self._lock:
            living = sorted(self._guards, key=lambda guard: guard.name)
        found = {}
        for guard in living:
            try:
                found[guard.name] = guard.stats()
            except ConfigurationError:
                continue
        return found

    def dead_letters(self, name: str) -> DeadLetterQueue:
        """Return the queue that the profile declares under this name, to register handlers and replay.

        Raises:
            ConfigurationError: there is none; the message names those that there are.
        """
        with self._lock:
            queue = self._room.dead_letters.get(name)
            if queue is None:
                raise ConfigurationError(self._book.unknown("dead_letter", name))
            return queue

    def reset(self, *, forget_guards: bool = False) -> None:
        """Forget the profile and its policies. Guards that the code has made look for theirs anew.

        Args:
            forget_guards: for tests: forget these guards too, so that a later profile is not checked with them. One
                that is called after all is known again.
        """
        with self._lock:
            former, self._room = self._room, Room()
            self._profile, self._book = None, EMPTY
            self._forget_pipelines()
            if forget_guards:
                self._guards.clear()
        for queue in former.dead_letters.values():
            queue.close()

    @contextmanager
    def off(self) -> Iterator[None]:
        """Let every call pass straight through while the block runs, in all threads; calls under way end as they began."""
        self._switch(1)
        try:
            yield
        finally:
            self._switch(-1)

    def _switch(self, change: int) -> None:
        with self._lock:
            self._times_off += change
            self._forget_pipelines()

    def _forget_pipelines(self) -> None:
        for guard in self._guards:
            guard.adopt_pipeline(None)

    def start_again_in_child(self) -> None:
        """Drop a lock that another thread of the parent may have held. Runs in a child right after fork."""
        self._lock = threading.RLock()


def changed_sections(former: Profile, profile: Profile) -> list[str]:
    """Return the sections in which two profiles differ, such as `timeouts.search`."""
    changed = []
    for section in Profile.model_fields:
        old, new = getattr(former, section), getattr(profile, section)
        if isinstance(new, dict):
            changed += [f"{section}.{name}" for name in {*old, *new} if old.get(name) != new.get(name)]
        elif old != new:
            changed.append(section)
    return sorted(changed)


def _of_storages(former: Book, book: Book) -> Iterator[str]:
    for name in former.circuit_breakers.keys() & book.circuit_breakers.keys():
        if former.storages.get(name) != book.storages.get(name):
            yield f"circuit_breakers.{name}.storage cannot change while the system runs; restart it."


def _of_limiters(former: Book, book: Book) -> Iterator[str]:
    known = rate_limit_manager.all()
    for name, settings in book.rate_limiters.items():
        if name in former.rate_limiters:
            yield from unchangeable(name, former.rate_limiters[name], settings)
        elif name in known and not is_as_declared(known[name], settings):
            yield (
                f"limiter {name!r} was configured in the code as {known[name]!r}, but [rate_limiters.{name}] says otherwise; "
                "settle it in one place."
            )


def _new_limiters(former: Book, book: Book, problems: list[str]) -> dict[str, RateLimiter]:
    """Return the limiters that come new, and add what keeps one from being built."""
    built = {}
    for name in book.rate_limiters.keys() - former.rate_limiters.keys() - rate_limit_manager.all().keys():
        try:
            built[name] = new_limiter(name, book.rate_limiters[name])
        except ConfigurationError as error:
            problems += error.problems
        except ResourceUnavailableError as error:
            problems.append(
                f"limiter {name!r}: nobody answers at its storage ({error}); start the server, or give a fallback_share."
            )
    return built


def _of_guards(living: list[Guard], book: Book) -> Iterator[str]:
    compositions = [Composition(guard.name, guard.declaration, book) for guard in living]
    known = {guard.name for guard in living}
    compositions += [Composition(name, None, book) for name in book.guards if name not in known]
    for composition in compositions:
        yield from composition.problems or contradictions(composition.outline())
    for guard in living:
        if guard.has_blocks:
            yield from Composition(guard.name, guard.declaration, book).problems_of_blocks()


guards = GuardRegistry()
"""The guards of this process."""

os.register_at_fork(after_in_child=guards.start_again_in_child)
