"""The living policies of a profile: built once, and changed in place when the profile changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from pydantic import SecretStr

from spanguard.error_handling import (
    BreakerSettings,
    Bulkhead,
    CircuitBreaker,
    DeadLetterQueue,
    RedisBreakerStorage,
    Retry,
    Timeout,
    circuit_breakers,
    retry_budget,
)
from spanguard.guard.book import Book, new_queue
from spanguard.guard.declaration import Kind
from spanguard.guard.limiting import change, new_limiter
from spanguard.rate_limiter import RateLimiter, rate_limit_manager

V = TypeVar("V")


class Room:
    """Breakers and limiters live in the registries of the process; the others here."""

    def __init__(self) -> None:
        self.bulkheads: dict[str, Bulkhead] = {}
        self.retries: dict[str, Retry] = {}
        self.timeouts: dict[str, Timeout] = {}
        self.dead_letters: dict[str, DeadLetterQueue] = {}

    def policy(self, kind: Kind, name: str) -> Any:
        """Return the policy of this name, which is there."""
        if kind == "circuit_breaker":
            return circuit_breakers.get(name)
        if kind == "rate_limiter":
            return rate_limit_manager.get_limiter(name)
        shelves: dict[Kind, Mapping[str, Any]] = {
            "bulkhead": self.bulkheads,
            "retry": self.retries,
            "timeout": self.timeouts,
            "dead_letter": self.dead_letters,
        }
        return shelves[kind][name]

    def rearrange(
        self, former: Book, book: Book, queues: Mapping[str, DeadLetterQueue], limiters: Mapping[str, RateLimiter]
    ) -> list[DeadLetterQueue]:
        """Turn the policies of one book into those of another, whose settings were checked; state and counts stay.

        Args:
            former: what there is.
            book: what there shall be.
            queues: the dead-letter queues that come new.
            limiters: the limiters that come new.

        Returns:
            The queues that are of no use any more, to be closed.
        """
        self._breakers(former, book)
        self._limiters(former, book, limiters)
        self._bulkheads(book)
        self._timeouts(book)
        self._retries(book)
        kept = _kept(self.dead_letters, book.dead_letters)
        dropped = [queue for name, queue in self.dead_letters.items() if name not in kept]
        # Another change may have come between the draft and now.
        self.dead_letters = {
            name: kept.get(name) or queues.get(name) or new_queue(name, settings)
            for name, settings in book.dead_letters.items()
        }
        return dropped

    def _breakers(self, former: Book, book: Book) -> None:
        for name in former.circuit_breakers.keys() - book.circuit_breakers.keys():
            circuit_breakers.remove(name)
        for name, settings in book.circuit_breakers.items():
            if name not in former.circuit_breakers:
                circuit_breakers.register(name, _new_breaker(name, settings, book.storages.get(name)))
            elif settings != former.circuit_breakers[name]:
                circuit_breakers.get(name).reconfigure(settings)

    def _limiters(self, former: Book, book: Book, limiters: Mapping[str, RateLimiter]) -> None:
        for name in former.rate_limiters.keys() - book.rate_limiters.keys():
            rate_limit_manager.remove(name)
        for name, settings in book.rate_limiters.items():
            if name not in former.rate_limiters:
                if name not in rate_limit_manager.all():  # or else the code has made the same
                    rate_limit_manager.add(limiters.get(name) or new_limiter(name, settings))
            elif settings != former.rate_limiters[name]:
                change(rate_limit_manager.get_limiter(name), settings)

    def _bulkheads(self, book: Book) -> None:
        self.bulkheads = _kept(self.bulkheads, book.bulkheads)
        for name, settings in book.bulkheads.items():
            numbers = settings.limit, settings.queue, settings.max_wait
            known = self.bulkheads.get(name)
            if known is None:
                self.bulkheads[name] = Bulkhead(*numbers, name=name)
            else:
                known.reconfigure(*numbers)

    def _timeouts(self, book: Book) -> None:
        self.timeouts = _kept(self.timeouts, book.timeouts)
        for name, seconds in book.timeouts.items():
            known = self.timeouts.get(name)
            if known is None:
                self.timeouts[name] = Timeout(seconds, name=name)
            else:
                known.seconds = seconds

    def _retries(self, book: Book) -> None:
        for name, budget in book.budgets.items():
            numbers = {"ratio": budget.ratio, "window": budget.window, "min_per_second": budget.min_per_second}
            retry_budget(name).reconfigure(**numbers)
        self.retries = {
            name: known
            if (known := self.retries.get(name)) is not None and known.config == config
            else Retry(config, name=name)
            for name, config in book.retries.items()
        }


def _kept(shelf: dict[str, V], section: Mapping[str, Any]) -> dict[str, V]:
    return {name: policy for name, policy in shelf.items() if name in section}


def _new_breaker(name: str, settings: BreakerSettings, url: SecretStr | None) -> CircuitBreaker:
    plain: dict[str, Any] = {field.name: getattr(settings, field.name) for field in fields(settings)}
    storage = None if url is None else RedisBreakerStorage(url.get_secret_value(), name)
    return CircuitBreaker(name=name, state_storage=storage, **plain)
