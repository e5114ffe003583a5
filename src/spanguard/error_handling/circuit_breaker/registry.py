"""The named breakers of a process, and the decorator that looks one up."""

from __future__ import annotations

import difflib
import inspect
import os
import threading
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Final, ParamSpec, TypeVar

from spanguard.error_handling.circuit_breaker import guarding
from spanguard.error_handling.circuit_breaker.breaker import CircuitBreaker
from spanguard.error_handling.circuit_breaker.settings import BreakerSettings
from spanguard.errors import ConfigurationError

P = ParamSpec("P")
R = TypeVar("R")

_COMPARED: Final = frozenset(field.name for field in fields(BreakerSettings))


class CircuitBreakerRegistry:
    """Circuit breakers by name. One instance serves the process: `circuit_breakers`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._breakers: dict[str, CircuitBreaker] = {}
        self._given: dict[str, dict[str, Any]] = {}
        self._declared: frozenset[str] = frozenset()

    def get(self, name: str, **settings: Any) -> CircuitBreaker:
        """Return the breaker of this name; build it at the first call, with these settings of `CircuitBreaker`.

        Raises:
            ConfigurationError: the settings are wrong; the breaker exists with other settings; or breakers were
                declared (by a profile), this is none of them, and there are no settings to build it from.
        """
        breaker = self._breakers.get(name)
        if breaker is None:
            breaker = self._build(name, settings)
        if settings:
            _refuse_differences(breaker, self._given.get(name, {}), settings)
        return breaker

    def look_up(self, name: str) -> CircuitBreaker | None:
        """Return the breaker of this name, None if there is none yet."""
        return self._breakers.get(name)

    def configure(self, name: str, **settings: Any) -> CircuitBreaker:
        """Declare a breaker: build it with these settings of `CircuitBreaker`, register it and return it.

        Raises:
            ConfigurationError: the settings are wrong.
        """
        breaker = CircuitBreaker(name=name, **settings)
        self.register(name, breaker)
        self._given[name] = settings
        return breaker

    def register(self, name: str, breaker: CircuitBreaker) -> None:
        """Declare a breaker that exists. From now on it is what the name means, also where another was used before."""
        with self._lock:
            self._breakers = {**self._breakers, name: breaker}
            self._given.pop(name, None)
            self._declared |= {name}

    def remove(self, name: str) -> None:
        """Forget one breaker and its declaration; without one of this name nothing happens."""
        with self._lock:
            self._breakers = {known: breaker for known, breaker in self._breakers.items() if known != name}
            self._given.pop(name, None)
            self._declared -= {name}

    def all(self) -> dict[str, CircuitBreaker]:
        """Return every breaker that is registered, by name."""
        return dict(self._breakers)

    def reset(self) -> None:
        """Forget all breakers and declarations. Decorated functions look their breaker up anew."""
        with self._lock:
            self._breakers = {}
            self._given = {}
            self._declared = frozenset()

    def _build(self, name: str, settings: dict[str, Any]) -> CircuitBreaker:
        with self._lock:
            known = self._breakers.get(name)
            if known is not None:
                return known
            if self._declared and not settings:
                raise ConfigurationError(_unknown(name, self._declared))
            breaker = CircuitBreaker(name=name, **settings)
            self._breakers = {**self._breakers, name: breaker}
            self._given[name] = settings
            return breaker

    def start_again_in_child(self) -> None:
        """Drop a lock that another thread of the parent may have held. Runs in a child right after fork."""
        self._lock = threading.Lock()


def _unknown(name: str, declared: frozenset[str]) -> str:
    close = difflib.get_close_matches(name, declared, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return (
        f"circuit breaker {name!r} is not declared.{hint} Declared are: {', '.join(sorted(declared))}. "
        "Declare it in the profile, or give its settings where it is used."
    )


def _refuse_differences(breaker: CircuitBreaker, given: dict[str, Any], settings: dict[str, Any]) -> None:
    problems = []
    for key, value in settings.items():
        if key in _COMPARED:
            present = getattr(breaker.settings, key)
            if present != value:
                problems.append(f"{key} is asked to be {value!r}, but the breaker exists with {present!r}")
        elif key not in given or given[key] != value:
            # It may hold anything, so what it holds is not shown.
            problems.append(f"{key} is asked for, but the breaker exists without it or with another")
    if problems:
        raise ConfigurationError(
            [f"circuit breaker {breaker.name!r}: {problem}; settle it in one place." for problem in problems]
        )


circuit_breakers = CircuitBreakerRegistry()
"""The named breakers of this process."""

os.register_at_fork(after_in_child=circuit_breakers.start_again_in_child)


def with_circuit_breaker(name: str, **changes: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Guard a function with the named breaker of this process: `@with_circuit_breaker("twitter_api")`.

    Works on functions, coroutine functions, generator functions and async generator functions. The breaker is looked up
    in `circuit_breakers` at each call, so a profile that is loaded after the decoration still decides.

    Args:
        name: the breaker's name.
        changes: settings of `CircuitBreaker`, for a breaker that is declared nowhere else.

    Raises:
        ConfigurationError: the settings are wrong. At the first call: the breaker exists with other settings, or
            breakers were declared and this is none of them.
    """
    if not isinstance(name, str):
        raise TypeError('with_circuit_breaker needs the name of a breaker: @with_circuit_breaker("twitter_api")')
    inspect.signature(CircuitBreaker).bind(name=name, **changes)
    BreakerSettings(**{key: value for key, value in changes.items() if key in _COMPARED}).check(name)
    known: CircuitBreaker | None = None

    def find() -> CircuitBreaker:
        nonlocal known
        breaker = circuit_breakers.look_up(name)
        if breaker is None or breaker is not known:
            known = breaker = circuit_breakers.get(name, **changes)
        return breaker

    def decorator(function: Callable[P, R]) -> Callable[P, R]:
        return guarding.decorate(find, function)

    return decorator
