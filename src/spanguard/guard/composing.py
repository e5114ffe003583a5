"""Which policies a guard is made of: what the code says and what the profile says, put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from spanguard.config_manager import GuardSettings
from spanguard.error_handling import CircuitBreaker, Retry, Timeout
from spanguard.guard.book import Book
from spanguard.guard.declaration import OPEN, SECTIONS, Choice, Declaration, Kind
from spanguard.guard.letters import Letters
from spanguard.guard.outline import Outline, of_blocks
from spanguard.guard.pipeline import Admission, Pipeline, Policies
from spanguard.guard.room import Room

NONE = "none"


class Composition:
    """One guard's policies as far as they are settled: names, policies of its own, or nothing.

    Args:
        name: the guard's name.
        declaration: what the code says, None if it says nothing.
        book: what there is.

    Attributes:
        problems: what contradicts, or stands for nothing.
    """

    def __init__(self, name: str, declaration: Declaration | None, book: Book) -> None:
        self.name = name
        self.declaration = declaration or Declaration(name)
        self.problems: list[str] = []
        self._is_declared = declaration is not None
        self._book = book
        self._section = book.guards.get(name) or GuardSettings()
        self._choices: Mapping[Kind, Choice] = {kind: self._choose(kind) for kind in SECTIONS}
        self.deadline = self._number("deadline", self.declaration.deadline, None)
        self.max_wait = self._number("max_wait", self.declaration.max_wait, 0.0) or 0.0

    def outline(self) -> Outline:
        """Return the settings of all its policies."""
        breaker, timeout, retry = (self._settings(kind) for kind in ("circuit_breaker", "timeout", "retry"))
        if isinstance(retry, Retry):
            retry = retry.config
        return Outline(
            name=self.name,
            declaration=self.declaration if self._is_declared else None,
            has_limiter=self._choices["rate_limiter"] is not None,
            max_wait=self.max_wait,
            bulkhead=self._settings("bulkhead"),
            retry=retry.changed(**self.declaration.retry_changes) if retry is not None else None,
            circuit_breaker=breaker.settings if isinstance(breaker, CircuitBreaker) else breaker,
            timeout=timeout.seconds if isinstance(timeout, Timeout) else timeout,
            deadline=self.deadline,
            has_dead_letter=self._choices["dead_letter"] is not None,
        )

    def problems_of_blocks(self) -> Iterator[str]:
        """Yield what is wrong with it if its call is a block."""
        return of_blocks(
            self.name,
            has_retry=self._choices["retry"] is not None,
            has_fallback=self.declaration.fallback is not None,
            has_dead_letter=self._choices["dead_letter"] is not None,
        )

    def pipeline(self, room: Room, deadline: Timeout | None) -> Pipeline:
        """Return the way of its calls. Nothing is wrong with it."""
        declaration, clock = self.declaration, self.declaration.clock
        limiter, queue = self._policy("rate_limiter", room), self._policy("dead_letter", room)
        policies = Policies(
            rate_limiter=Admission(limiter, self.max_wait) if limiter is not None else None,
            bulkhead=self._policy("bulkhead", room),
            retry=self._retry(room),
            circuit_breaker=self._breaker(room),
            timeout=self._policy("timeout", room),
            deadline=deadline,
            fallback=declaration.fallback,
            letters=Letters(queue, declaration.dead_letter_operation or self.name, declaration.dead_letter_payload)
            if queue is not None and declaration.dead_letter_payload is not None
            else None,
        )
        return Pipeline(self.name, policies, clock)

    def _choose(self, kind: Kind) -> Choice:
        in_code = self.declaration.choices.get(kind, OPEN)
        in_profile: str | None = getattr(self._section, kind)
        if in_code is not OPEN:
            if in_profile is not None and in_profile != (NONE if in_code is None else in_code):
                self._complain(
                    f"{kind} is {in_profile!r} in the profile, but the code settles it too; settle it in one place."
                )
            elif not isinstance(in_code, str | None) and in_profile is None and self.name in self._book.section(kind):
                self._complain(
                    f"[{SECTIONS[kind]}.{self.name}] stands in the profile, but the code gives the guard a {kind} of its "
                    "own; settle it in one place."
                )
            chosen = in_code
        elif in_profile is not None:
            chosen = None if in_profile == NONE else in_profile
        else:
            chosen = self.name if self._book.find(kind, self.name) is not None else None
        if isinstance(chosen, str) and self._book.find(kind, chosen) is None:
            self._complain(self._book.unknown(kind, chosen))
            return None
        return chosen

    def _number(self, setting: str, in_code: Any, default: float | None) -> float | None:
        in_profile: float | None = getattr(self._section, setting)
        if in_code is OPEN:
            return in_profile
        if setting in self._section.model_fields_set and in_profile != in_code:
            self._complain(
                f"{setting} is {in_profile!r} in the profile, but {in_code!r} in the code; settle it in one place."
            )
        return default if in_code is None else float(in_code)

    def _complain(self, problem: str) -> None:
        self.problems.append(f"guard {self.name!r}: {problem}")

    def _settings(self, kind: Kind) -> Any:
        chosen = self._choices[kind]
        return self._book.find(kind, chosen) if isinstance(chosen, str) else chosen

    def _policy(self, kind: Kind, room: Room) -> Any:
        chosen = self._choices[kind]
        return room.policy(kind, chosen) if isinstance(chosen, str) else chosen

    def _retry(self, room: Room) -> Retry | None:
        retry: Retry | None = self._policy("retry", room)
        if retry is None or not self.declaration.retry_changes:
            return retry
        return retry.changed(**self.declaration.retry_changes)

    def _breaker(self, room: Room) -> CircuitBreaker | None:
        breaker: CircuitBreaker | None = self._policy("circuit_breaker", room)
        if breaker is not None:
            known = breaker.excluded_exceptions
            breaker.add_excluded_exceptions(*(error for error in self.declaration.exclude if error not in known))
        return breaker
