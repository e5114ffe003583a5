"""`Retry` in all its forms: a call, a decorator, a loop around a block. The first attempt that succeeds costs next to nothing."""

from __future__ import annotations

import functools
import inspect
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from threading import get_ident
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, overload

from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.error_handling.retry.backoff import Uniform
from spanguard.error_handling.retry.budget import NoBudget, RetryBudget, retry_budget
from spanguard.error_handling.retry.config import OWN_BUDGET, RetryConfig
from spanguard.error_handling.retry.journey import Journey, Policy
from spanguard.error_handling.retry.stats import RetryStats, read_stats
from spanguard.errors import ConfigurationError
from spanguard.instrumentation.tenacity import UNNAMED, RetrySignals
from spanguard.telemetry.deadline import current as current_deadline
from spanguard.telemetry.deadline import is_over
from spanguard.telemetry.spans import has_provider

P = ParamSpec("P")
R = TypeVar("R")


class Retry:
    """A retry policy with a name; safe from threads and tasks, and reusable.

    Args:
        config: the settings; the defaults of `RetryConfig` if left out.
        name: the policy's name in every signal.
        clock: for tests.
        uniform: chance for the jitter, as `random.uniform`; for tests.
        changes: settings of `RetryConfig` to change.

    Raises:
        ConfigurationError: a setting is unknown or wrong.
    """

    def __init__(
        self,
        config: RetryConfig | None = None,
        *,
        name: str = UNNAMED,
        clock: Clock = SYSTEM_CLOCK,
        uniform: Uniform = random.uniform,
        **changes: Any,
    ) -> None:
        self.config = (config or RetryConfig()).changed(**changes)
        self.name = name
        budget = _budget_of(self.config, name, clock)
        self._policy = Policy(self.config, RetrySignals(name), budget, clock, uniform)

    @property
    def budget(self) -> RetryBudget | None:
        """The budget that its retries are paid from, None if they are free."""
        budget = self._policy.budget
        return budget if isinstance(budget, RetryBudget) else None

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function, again where it fails.

        Raises:
            DeadlineExceededError: there is no time even for the first attempt.
            TypeError: it is a coroutine function, which `call_async` is for.
            BaseException: whatever the last attempt raised.
        """
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"retry {self.name!r}: call() would not await {_name_of(function)}; use call_async().")
        guarded: Callable[P, R] = _guard(self._policy, function)
        return guarded(*args, **kwargs)

    async def call_async(self, function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """Await a coroutine function, again where it fails; raises as `call` does."""
        guarded: Callable[P, Awaitable[R]] = _guard_async(self._policy, function)
        return await guarded(*args, **kwargs)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function or coroutine function.

        Raises:
            ConfigurationError: it is a generator function, which has handed out values before it fails.
        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ConfigurationError(
                f"retry {self.name!r}: {_name_of(function)} is a generator function, and what it has yielded cannot "
                "be taken back; put the loop that consumes it into a function, or use `for attempt in Retry(...)`."
            )
        guard = _guard_async if inspect.iscoroutinefunction(function) else _guard
        return functools.wraps(function)(guard(self._policy, function))

    def changed(self, **changes: Any) -> Retry:
        """Return a retry of the same name, budget and clock with some settings of `RetryConfig` changed.

        Raises:
            ConfigurationError: a setting is unknown or wrong.
        """
        policy = self._policy
        settings = {"budget": self.budget, **changes}
        return Retry(self.config, name=self.name, clock=policy.clock, uniform=policy.uniform, **settings)

    def bind(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that calls another one again where it fails: `__call__` without looking into it, or naming it."""
        return _guard(self._policy, function)

    def bind_async(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the same of a coroutine function."""
        return _guard_async(self._policy, function)

    def stats(self) -> RetryStats:
        """Return what is known now."""
        budget = self.budget
        return read_stats(self._policy.signals.policy, None if budget is None else budget.utilization())

    def __iter__(self) -> Iterator[Attempt]:
        """Retry a block: `for attempt in retry:` and in it `with attempt:`."""
        journey = _journey_of_block(self._policy, blocking=True)
        yield Attempt(journey)
        while journey.delay is not None:
            journey.pause(journey.delay)
            yield Attempt(journey)

    def __aiter__(self) -> AsyncIterator[Attempt]:
        """Retry a block: `async for attempt in retry:` and in it `with attempt:`."""
        return _AsyncAttempts(_journey_of_block(self._policy, blocking=False))

    def __repr__(self) -> str:
        return f"Retry({self.config!r}, name={self.name!r})"


class Attempt:
    """One attempt of a block, as a context manager; an error that is retried stays inside.

    Leave the loop through the block, by `return` or `break` or its end: what is left between two attempts is not counted.
    """

    __slots__ = ("_journey",)

    def __init__(self, journey: Journey) -> None:
        self._journey = journey

    @property
    def number(self) -> int:
        """Which attempt it is; the first is 1. Known once the block is entered."""
        return self._journey.attempts

    def __enter__(self) -> Self:
        """Begin the attempt.

        Raises:
            DeadlineExceededError: there is no time for the first one.
        """
        self._journey.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """End the attempt; keep its error inside if there will be another one."""
        if error is None:
            self._journey.succeeded()
            return False
        return self._journey.failed(error) is not None


class _AsyncAttempts:
    __slots__ = ("_has_begun", "_journey")

    def __init__(self, journey: Journey) -> None:
        self._journey = journey
        self._has_begun = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Attempt:
        if self._has_begun:
            if self._journey.delay is None:
                raise StopAsyncIteration
            await self._journey.pause_async(self._journey.delay)
        self._has_begun = True
        return Attempt(self._journey)


def _journey_of_block(policy: Policy, *, blocking: bool) -> Journey:
    return Journey(policy, object(), policy.clock.monotonic(), blocking=blocking)


# --- functions: the quick way is that of a first success with nothing recording ------------------------------------


def _guard(policy: Policy, function: Callable[..., Any]) -> Callable[..., Any]:
    monotonic, budget, lanes, bounded = policy.clock.monotonic, policy.budget, policy.lanes, current_deadline.get
    judges_results = policy.config.retry_result is not None

    def guarded(*args: Any, **kwargs: Any) -> Any:
        started = monotonic()
        lane = lanes.get(get_ident())
        if lane is None or judges_results or started >= budget.due or has_provider() or (bounded() and is_over()):
            return _run(Journey(policy, function, started), function, args, kwargs)
        lane.begun.calls += 1
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            journey = Journey(policy, function, started, attempts=1)
            delay = journey.failed(error)
            if delay is None:
                raise
        else:
            lane.succeeded.value += 1
            return result
        journey.pause(delay)
        return _run(journey, function, args, kwargs)

    return guarded


def _run(journey: Journey, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    while True:
        journey.enter()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            delay = journey.failed(error)
            if delay is None:
                raise
        else:
            delay = journey.returned(result)
            if delay is None:
                return result
        journey.pause(delay)


def _guard_async(policy: Policy, function: Callable[..., Any]) -> Callable[..., Any]:
    monotonic, budget, lanes, bounded = policy.clock.monotonic, policy.budget, policy.lanes, current_deadline.get
    judges_results = policy.config.retry_result is not None

    async def guarded(*args: Any, **kwargs: Any) -> Any:
        started = monotonic()
        lane = lanes.get(get_ident())
        if lane is None or judges_results or started >= budget.due or has_provider() or (bounded() and is_over()):
            return await _run_async(Journey(policy, function, started, blocking=False), function, args, kwargs)
        lane.begun.calls += 1
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            journey = Journey(policy, function, started, attempts=1, blocking=False)
            delay = journey.failed(error)
            if delay is None:
                raise
        else:
            lane.succeeded.value += 1
            return result
        await journey.pause_async(delay)
        return await _run_async(journey, function, args, kwargs)

    return guarded


async def _run_async(
    journey: Journey, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    while True:
        journey.enter()
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            delay = journey.failed(error)
            if delay is None:
                raise
        else:
            delay = journey.returned(result)
            if delay is None:
                return result
        await journey.pause_async(delay)


def _budget_of(config: RetryConfig, name: str, clock: Clock) -> RetryBudget | NoBudget:
    budget = config.budget
    if budget is None:
        return NoBudget()
    if isinstance(budget, str) and clock is not SYSTEM_CLOCK and budget == OWN_BUDGET:
        return RetryBudget(name, clock=clock)
    if isinstance(budget, str):
        budget = retry_budget(budget or name)
    if budget.clock is not clock:
        raise ConfigurationError(
            f"retry {name!r}: its clock is {clock!r}, but that of its budget {budget.name!r} is {budget.clock!r}; give "
            "both the same one."
        )
    return budget


@overload
def with_retry(config: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def with_retry(
    config: RetryConfig | None = None, /, *, name: str | None = None, **changes: Any
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def with_retry(
    config: RetryConfig | Callable[..., Any] | None = None, /, *, name: str | None = None, **changes: Any
) -> Any:
    """Retry a function or coroutine function: `@with_retry`, `@with_retry()`, `@with_retry(max_attempts=5)`.

    Args:
        config: the settings; the defaults of `RetryConfig` if left out.
        name: the policy's name in every signal; `module.function` if left out.
        changes: settings of `RetryConfig` to change, and `clock` and `uniform` of `Retry`.

    Raises:
        ConfigurationError: a setting is unknown or wrong, or the function is a generator function.
    """
    if config is not None and not isinstance(config, RetryConfig):
        if not callable(config):
            raise ConfigurationError(f"with_retry: {config!r} is neither a RetryConfig nor a function.")
        return Retry(name=_name_of(config))(config)

    def decorator(function: Callable[P, R]) -> Callable[P, R]:
        return Retry(config, name=name or _name_of(function), **changes)(function)

    settings = {key: value for key, value in changes.items() if key not in ("clock", "uniform")}
    (config or RetryConfig()).changed(**settings)  # what is wrong is told at the line that says it
    return decorator


def _name_of(function: Callable[..., Any]) -> str:
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", type(function).__qualname__)
    return f"{module}.{name}" if module else name
