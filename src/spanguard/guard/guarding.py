"""`Guard` and `guard`: one name, one pipeline of policies around a call."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal, ParamSpec, TypeVar

from spanguard import forms
from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.error_handling import (
    Bulkhead,
    CircuitBreaker,
    DeadLetterQueue,
    Retry,
    RetryConfig,
    Timeout,
)
from spanguard.guard.blocks import Calling
from spanguard.guard.declaration import OPEN, Declaration, Open, declare
from spanguard.guard.pipeline import Pipeline
from spanguard.guard.registry import guards
from spanguard.guard.stats import GuardStats
from spanguard.rate_limiter import RateLimiter
from spanguard.telemetry.spans import has_provider

P = ParamSpec("P")
T = TypeVar("T")

Left = Literal[Open.OPEN]
"""What is left to the profile."""


class Guard:
    """Protects calls with the policies that its name stands for.

    A call goes through them in this order: dead letter and fallback stand around everything, then the deadline of the
    whole call, the rate limiter, the bulkhead, the retry with its budget, the circuit breaker, the timeout of one attempt.

        api = Guard("twitter_api")

        @api                                             # on def and async def
        def fetch(): ...

        api.call(fetch)          await api.call_async(fetch)
        with api.calling(): ...  async with api.calling(): ...

    Each policy is optional. What is left out here comes from the profile: from `[guards.<name>]`, or else it is the policy
    of that kind that bears the guard's own name, if there is one. Names are looked up at the first call after each change,
    so a guard can be made before the profile is loaded. Safe from threads and tasks, and in a forked child.

    Args:
        name: the policy name in every signal; keep it low in cardinality.
        rate_limiter: a limiter, the name of one, or None for none. The same goes for the next five.
        bulkhead: how many calls run at once.
        retry: also a `RetryConfig`.
        circuit_breaker: when calls are refused.
        timeout: also the seconds of one attempt.
        dead_letter: where a call goes that failed for good, unless an error of the program is to blame.
        deadline: seconds for the whole call, waits and all attempts included; None for no bound. It is a `Timeout` of
            the name `<name>.deadline`.
        max_wait: seconds that a call may wait for the rate limiter; 0, the default: it is refused at once.
        fallback: what answers in place of a call that failed: a value, a function, `LastGood()`, or a
            `GracefulDegradation` for several of them.
        exclude: errors that the circuit breaker takes for no failures. They join those of the breaker, so
            all guards that share it go by them.
        retry_on: errors that are worth another attempt; see `RetryConfig`.
        retry_result: tells whether a returned value asks for another attempt.
        dead_letter_payload: makes the payload of a letter of the call's arguments.
        dead_letter_operation: under which the letter's handler is registered; the guard's name, if left out.
        clock: what measures time.

    Raises:
        ConfigurationError: a setting is wrong; all are named.
    """

    def __init__(
        self,
        name: str,
        *,
        rate_limiter: RateLimiter | str | Left | None = OPEN,
        bulkhead: Bulkhead | str | Left | None = OPEN,
        retry: Retry | RetryConfig | str | Left | None = OPEN,
        circuit_breaker: CircuitBreaker | str | Left | None = OPEN,
        timeout: Timeout | float | str | Left | None = OPEN,
        dead_letter: DeadLetterQueue | str | Left | None = OPEN,
        deadline: float | Left | None = OPEN,
        max_wait: float | Left = OPEN,
        fallback: Any = OPEN,
        exclude: Iterable[type[BaseException] | Callable[[Any], bool]] = (),
        retry_on: Any = None,
        retry_result: Callable[[Any], bool] | None = None,
        dead_letter_payload: Callable[..., Any] | None = None,
        dead_letter_operation: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._declaration = declare(
            name,
            rate_limiter=rate_limiter,
            bulkhead=bulkhead,
            retry=retry,
            circuit_breaker=circuit_breaker,
            timeout=timeout,
            dead_letter=dead_letter,
            deadline=deadline,
            max_wait=max_wait,
            fallback=fallback,
            exclude=exclude,
            retry_on=retry_on,
            retry_result=retry_result,
            dead_letter_payload=dead_letter_payload,
            dead_letter_operation=dead_letter_operation,
            clock=clock,
        )
        self._pipeline: Pipeline | None = None
        self._deadline: Timeout | None = None
        self.has_blocks = False
        guards.declare(self)

    def __repr__(self) -> str:
        return f"Guard({self.name!r})"

    @property
    def name(self) -> str:
        """The policy name in every signal."""
        return self._declaration.name

    @property
    def declaration(self) -> Declaration:
        """What the code says of it."""
        return self._declaration

    def call(self, func: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call `func` under all policies. A decorated function saves the work of putting them around it each time.

        Raises:
            ConfigurationError: no profile is loaded and the guard has no settings of its own, or they make no sense.
            TypeError: `func` returned a coroutine or a generator, whose work would be done outside.
            Exception: what a policy raises in its place, or what it raised itself.
        """
        bound = self.pipeline().bind(func)
        result: T = (bound.watched if has_provider() else bound.plain)(*args, **kwargs)
        return result

    async def call_async(self, func: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        """Await `func(*args, **kwargs)` under all policies; raises as `call` does."""
        bound = self.pipeline().bind_async(func)
        result: T = await (bound.watched if has_provider() else bound.plain)(*args, **kwargs)
        return result

    def calling(self) -> Calling:
        """Return a context manager, for `with` and `async with`, whose block is one guarded call.

        A block can neither be run again, nor replaced by an answer, nor kept for later. So a guard with a retry, a
        fallback or a dead-letter queue refuses it: put the block into a function.

        Raises:
            ConfigurationError: it has one of the three, or as `call` raises it.
        """
        self.has_blocks = True
        return Calling(self)

    def __call__(self, function: Callable[P, T], /) -> Callable[P, T]:
        """Decorate a function or coroutine function.

        Raises:
            ConfigurationError: it is a generator function.
        """
        forms.refuse_generator(self.name, function)
        is_async = inspect.iscoroutinefunction(function)
        # One tuple, so that no thread ever sees the half of a change.
        bound: tuple[Pipeline | None, Callable[..., Any], Callable[..., Any]] = None, function, function

        def bind() -> Callable[..., Any]:
            nonlocal bound
            pipeline = self.pipeline()
            plain, watched = pipeline.bind_async(function) if is_async else pipeline.bind(function)
            bound = pipeline, plain, watched
            return watched if has_provider() else plain

        if is_async:

            @functools.wraps(function)
            async def guarded_coroutine(*args: Any, **kwargs: Any) -> Any:
                pipeline, plain, watched = bound
                if pipeline is None or pipeline is not self._pipeline:
                    return await bind()(*args, **kwargs)
                return await (watched if has_provider() else plain)(*args, **kwargs)

            return guarded_coroutine  # type: ignore[return-value]  # an async function of the same kind

        @functools.wraps(function)
        def guarded_call(*args: Any, **kwargs: Any) -> Any:
            pipeline, plain, watched = bound
            if pipeline is None or pipeline is not self._pipeline:
                return bind()(*args, **kwargs)
            if has_provider():
                return watched(*args, **kwargs)
            return plain(*args, **kwargs)

        return guarded_call

    def stats(self) -> GuardStats:
        """Return what is known now of every policy that it has.

        Raises:
            ConfigurationError: as `call` raises it.
        """
        return self.pipeline().policies.stats(self.name)

    def pipeline(self) -> Pipeline:
        """Return the way that a call which begins now goes."""
        pipeline = self._pipeline
        if pipeline is None:
            pipeline = guards.resolve(self)
        return pipeline

    @property
    def adopted(self) -> Pipeline | None:
        """The way that was found already, None if there is none yet. For the registry, as the next two."""
        return self._pipeline

    def adopt_pipeline(self, pipeline: Pipeline | None) -> None:
        """Let calls go this way from now on; None: look for one at the next call."""
        self._pipeline = pipeline

    def deadline(self, seconds: float | None) -> Timeout | None:
        """Return the bound of its whole calls, always the same one, with so many seconds."""
        if seconds is None:
            return None
        if self._deadline is None:
            self._deadline = Timeout(seconds, name=f"{self.name}.deadline", clock=self._declaration.clock)
        self._deadline.seconds = seconds
        return self._deadline


def guard(name: str, **changes: Any) -> Guard:
    """Guard a function with the policies that the name stands for: `@guard("twitter_api")`.

    Works on functions and coroutine functions. The policies are looked up at the first call, so a profile that is
    loaded after the decoration still decides.

    Args:
        name: the guard's name.
        changes: settings of `Guard`.

    Raises:
        ConfigurationError: a setting is wrong; all are named.
        TypeError: the name is missing, or a setting is unknown.
    """
    if not isinstance(name, str):
        raise TypeError('guard needs the name of a guard: @guard("twitter_api")')
    return Guard(name, **changes)
