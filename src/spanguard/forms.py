"""What guards of several rooms have in common: the forms of a guarded call, its span, and their counts."""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, Final, TypeVar

from spanguard import semconv
from spanguard.errors import ConfigurationError
from spanguard.telemetry import COUNTS, Cell, error_type
from spanguard.telemetry.spans import GuardSpan, start_guard_span

T = TypeVar("T")

CALLER_WENT_AWAY: Final = (KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError)
"""What says something about the caller, and nothing about the call."""

DEFERRED: Final = frozenset({GeneratorType, CoroutineType, AsyncGeneratorType})
"""What a function may return whose work is not done; a quick way looks here itself before it calls `finished`."""


def decorate(
    policy: str,
    function: Callable[..., Any],
    call: Callable[..., Any],
    call_async: Callable[..., Awaitable[Any]],
) -> Callable[..., Any]:
    """Return `function` guarded by `call(function, ...)`, or by `call_async` if it is a coroutine function.

    Raises:
        ConfigurationError: it is a generator function, whose work is done only while somebody iterates.
    """
    refuse_generator(policy, function)
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def guarded_coroutine(*args: Any, **kwargs: Any) -> Any:
            return await call_async(function, *args, **kwargs)

        return guarded_coroutine

    @functools.wraps(function)
    def guarded_call(*args: Any, **kwargs: Any) -> Any:
        return call(function, *args, **kwargs)

    return guarded_call


def refuse_generator(policy: str, function: Callable[..., Any]) -> None:
    """Refuse to decorate a generator function.

    Raises:
        ConfigurationError: it is one, and its work is done only while somebody iterates.
    """
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(
            f"{policy!r} cannot guard {function.__qualname__}, a generator: its work is done only while somebody "
            "iterates. Guard the functions that it calls, or a block of it."
        )


def finished(policy: str, result: T) -> T:
    """Return a call's result, if its work is done.

    Raises:
        TypeError: it is a coroutine or a generator, whose work would be done outside the guard.
    """
    if type(result) in DEFERRED:
        if isinstance(result, CoroutineType):
            result.close()
        raise TypeError(
            f"{policy!r}: call() got a {type(result).__name__}, whose work would be done outside the guard; "
            "use call_async() for a coroutine function"
        )
    return result


def new_span(policy: str, operation: object) -> GuardSpan | None:
    """Start or join the span of a guarded call, and make it current; None where nothing records."""
    span = start_guard_span(policy, operation)
    if span is not None:
        span.__enter__()
    return span


def end_span(span: GuardSpan | None, error: BaseException | None, *, is_refusal: bool = False) -> None:
    """End a span of `new_span` with what the caller saw; who went away has not failed."""
    if span is None:
        return
    outcome = "success" if error is None else "rejected" if is_refusal else "failure"
    if isinstance(error, CALLER_WENT_AWAY):
        span.set(semconv.ERROR_TYPE, error_type(error))
        error = None
    span.__exit__()
    span.end(outcome, error)


@contextmanager
def spanned(policy: str, operation: object, refusal: type[BaseException] | None = None) -> Iterator[GuardSpan | None]:
    """Put a block under the span of a guarded call; an error of the class `refusal` says that the call was not made."""
    span = new_span(policy, operation)
    try:
        yield span
    except BaseException as error:
        end_span(span, error, is_refusal=refusal is not None and isinstance(error, refusal))
        raise
    end_span(span, None)


class Tally:
    """The counts of one policy by outcome, under a lock of their own."""

    def __init__(self, metric: semconv.Metric, policy: str, outcome: semconv.Attribute) -> None:
        self._metric = metric
        self._policy = policy
        self._outcome = outcome
        self._cells: dict[tuple[str, str | None], Cell] = {}
        # Re-entrant: a garbage collection inside the lock may close a coroutine, whose guard counts that.
        self.lock = threading.RLock()
        _tallies.add(self)

    def cell(self, outcome: str, error: str | None = None) -> Cell:
        """Return the count of the calls that ended so. Who bumps it without `bump` holds `lock`."""
        with self.lock:
            cell = self._cells.get((outcome, error))
            if cell is None:
                attributes = self._attributes(outcome, error)
                cell = self._cells[outcome, error] = COUNTS.cell(self._metric, attributes, owner=self)
            return cell

    def bump(self, outcome: str, error: BaseException | None = None) -> None:
        """Count a call that ended so, under the class of its error if there is one."""
        kind = None if error is None else error_type(error)
        with self.lock:
            self.cell(outcome, kind).value += 1

    def total(self, outcome: str) -> int:
        """Return how many calls ended so."""
        with self.lock:
            return sum(cell.value for (counted, _), cell in self._cells.items() if counted == outcome)

    def _attributes(self, outcome: str, error: str | None) -> Mapping[str, str]:
        attributes = {semconv.POLICY_NAME.key: self._policy, self._outcome.key: outcome}
        return attributes if error is None else {**attributes, semconv.ERROR_TYPE.key: error}

    def start_again_in_child(self) -> None:
        """Drop a lock that another thread of the parent may have held."""
        self.lock = threading.RLock()


_tallies: weakref.WeakSet[Tally] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for tally in list(_tallies):
        tally.start_again_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)


def check_name(kind: str, name: object) -> str:
    """Return the policy's name.

    Raises:
        ConfigurationError: it is no text, or empty.
    """
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"{kind}: name is {name!r}; it must be a text that dashboards can show.")
    return name


def wrong_seconds(setting: str, value: object, *, hint: str = "") -> str | None:
    """Return what is wrong with a setting in seconds, None if it is above 0 and finite."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
        return None
    return f"{setting} is {value!r}; it must be seconds, above 0 and finite{hint}."
