"""The policies that a profile declares, as settings that hold; and those that the code has registered by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from pydantic import SecretStr

from spanguard import forms
from spanguard.config_manager import (
    BreakerSettings as BreakerSection,
)
from spanguard.config_manager import (
    BudgetSettings,
    BulkheadSettings,
    DeadLetterSettings,
    GuardSettings,
    LimiterSettings,
    Profile,
    RetrySettings,
)
from spanguard.error_handling import (
    BreakerSettings,
    CountWindow,
    DeadLetterQueue,
    FailureRate,
    RedisBreakerStorage,
    RetryConfig,
    SlowCall,
    TimeWindow,
    circuit_breakers,
)
from spanguard.error_handling.bulkhead.settings import check as check_bulkhead
from spanguard.error_handling.retry.budget import check as check_budget
from spanguard.errors import ConfigurationError
from spanguard.guard import limiting
from spanguard.guard.declaration import SECTIONS, Kind
from spanguard.rate_limiter import rate_limit_manager

S = TypeVar("S")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Book:
    """Settings by section and name, each checked by itself."""

    rate_limiters: Mapping[str, LimiterSettings] = field(default_factory=dict)
    bulkheads: Mapping[str, BulkheadSettings] = field(default_factory=dict)
    retries: Mapping[str, RetryConfig] = field(default_factory=dict)
    budgets: Mapping[str, BudgetSettings] = field(default_factory=dict)
    circuit_breakers: Mapping[str, BreakerSettings] = field(default_factory=dict)
    storages: Mapping[str, SecretStr] = field(default_factory=dict)
    timeouts: Mapping[str, float] = field(default_factory=dict)
    dead_letters: Mapping[str, DeadLetterSettings] = field(default_factory=dict)
    guards: Mapping[str, GuardSettings] = field(default_factory=dict)

    def section(self, kind: Kind) -> Mapping[str, Any]:
        """Return the settings of one kind of policies by name."""
        section: Mapping[str, Any] = getattr(self, SECTIONS[kind])
        return section

    def find(self, kind: Kind, name: str) -> Any:
        """Return the settings of a policy, also of one that the code has registered; None if there is none."""
        found = self.section(kind).get(name)
        if found is not None:
            return found
        if kind == "circuit_breaker" and (breaker := circuit_breakers.look_up(name)) is not None:
            return breaker.settings
        return rate_limit_manager.all().get(name) if kind == "rate_limiter" else None

    def unknown(self, kind: Kind, name: str) -> str:
        """Return what to say of a name that stands for nothing."""
        known = sorted({*self.section(kind), *_registered(kind)})
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        there = f"there are: {', '.join(known)}" if known else "there is none of this kind"
        return f"{kind} is {name!r}, but there is no [{SECTIONS[kind]}.{name}]; {hint}{there}."


EMPTY: Final = Book()


def _registered(kind: Kind) -> Mapping[str, object]:
    if kind == "circuit_breaker":
        return circuit_breakers.all()
    return rate_limit_manager.all() if kind == "rate_limiter" else {}


def read(profile: Profile) -> tuple[Book, list[str]]:
    """Return what the profile declares, and what is wrong with it; a policy that is wrong is not in the book."""
    problems: list[str] = []

    def all_of(section: Mapping[str, S], build: Callable[[str, S], B]) -> dict[str, B]:
        built = {}
        for name, settings in section.items():
            try:
                built[name] = build(name, settings)
            except ConfigurationError as error:
                problems.extend(error.problems)
        return built

    book = Book(
        rate_limiters=all_of(profile.rate_limiters, limiting.checked),
        bulkheads=all_of(profile.bulkheads, _checked_bulkhead),
        retries=all_of(profile.retries, _retry),
        budgets=_budgets(profile.retries, problems),
        circuit_breakers=all_of(profile.circuit_breakers, _breaker),
        storages={
            name: section.storage for name, section in profile.circuit_breakers.items() if section.storage is not None
        },
        timeouts=all_of(
            profile.timeouts, lambda name, settings: _checked_seconds(f"timeout {name!r}", settings.seconds)
        ),
        dead_letters=profile.dead_letters,
        guards=all_of(profile.guards, _checked_guard),
    )
    return book, problems


def new_queue(name: str, settings: DeadLetterSettings) -> DeadLetterQueue:
    """Build a queue; its database is opened at the first use.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    return DeadLetterQueue(
        settings.url.get_secret_value(), name, **{key: value for key, value in settings if key != "url"}
    )


def _checked_bulkhead(name: str, settings: BulkheadSettings) -> BulkheadSettings:
    check_bulkhead(name, settings.limit, settings.queue, settings.max_wait)
    return settings


def _checked_seconds(what: str, seconds: float) -> float:
    problem = forms.wrong_seconds("seconds", seconds)
    if problem:
        raise ConfigurationError(f"{what}: {problem}")
    return seconds


def _checked_guard(name: str, settings: GuardSettings) -> GuardSettings:
    problems = []
    if settings.deadline is not None:
        problems.append(forms.wrong_seconds("deadline", settings.deadline))
    if settings.max_wait:
        problems.append(forms.wrong_seconds("max_wait", settings.max_wait, hint=", or 0 to wait for nothing"))
    found = [f"guard {name!r}: {problem}" for problem in problems if problem]
    if found:
        raise ConfigurationError(found)
    return settings


def _retry(name: str, settings: RetrySettings) -> RetryConfig:
    plain = {key: value for key, value in settings if key != "budget"}
    budget = settings.budget
    problems = []
    if settings.max_attempts == 1 and budget.enabled and "budget" in settings.model_fields_set:
        problems.append("max_attempts is 1, so the budget would never be used; raise it or leave the budget out.")
    try:
        config = RetryConfig(**plain, budget=budget.name if budget.enabled else None)
    except ConfigurationError as error:
        problems += [problem.removeprefix("retry: ") for problem in error.problems]
    if problems:
        raise ConfigurationError([f"retry {name!r}: {problem}" for problem in problems])
    return config


def _budgets(retries: Mapping[str, RetrySettings], problems: list[str]) -> dict[str, BudgetSettings]:
    """Return the budgets by their names; those that several retries share must be the same."""
    budgets: dict[str, BudgetSettings] = {}
    for name, settings in retries.items():
        budget = settings.budget
        if not budget.enabled:
            problems += _of_no_budget(name, budget)
            continue
        budget = budget.model_copy(update={"name": budget.name or name})
        try:
            check_budget(budget.name, ratio=budget.ratio, window=budget.window, min_per_second=budget.min_per_second)
        except ConfigurationError as error:
            problems.extend(error.problems)
        if budgets.setdefault(budget.name, budget) != budget:
            problems.append(
                f"retry {name!r}: its budget {budget.name!r} has other numbers elsewhere; a budget that is shared must be "
                "the same wherever it stands."
            )
    return budgets


def _of_no_budget(name: str, budget: BudgetSettings) -> Iterator[str]:
    others = sorted(budget.model_fields_set - {"enabled"})
    if others:
        yield f"retry {name!r}: budget.enabled is false, so {', '.join(others)} would have no effect; leave one out."


def _breaker(name: str, section: BreakerSection) -> BreakerSettings:
    window: CountWindow | TimeWindow | None = None
    if section.window is not None:
        seconds, size = section.window.seconds, section.window.size
        window = TimeWindow(seconds) if seconds is not None else CountWindow(size or 0)
    settings = BreakerSettings(
        fail_max=section.fail_max,
        reset_timeout=section.reset_timeout,
        success_threshold=section.success_threshold,
        half_open_max_calls=section.half_open_max_calls,
        failure_rate=FailureRate(**section.failure_rate.model_dump()) if section.failure_rate else None,
        slow_call=SlowCall(**section.slow_call.model_dump()) if section.slow_call else None,
        window=window,
        probe_lease=section.probe_lease,
    )
    settings.check(name)
    if section.storage is not None:
        RedisBreakerStorage.check(section.storage.get_secret_value(), name)
    return settings
