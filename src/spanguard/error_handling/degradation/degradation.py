"""`GracefulDegradation`: where a call fails, something else answers, and everybody can tell."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from opentelemetry._logs import SeverityNumber

from spanguard import forms, semconv
from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.error_handling.degradation.answers import Answer, Degraded, SourceName, note
from spanguard.error_handling.degradation.errors import FallbackFailedError
from spanguard.error_handling.degradation.memory import Memory
from spanguard.error_handling.degradation.sources import (
    Errors,
    FallbackFunction,
    FallbackValue,
    LastGood,
    Source,
    as_source,
)
from spanguard.errors import ConfigurationError
from spanguard.telemetry import emit, error_type
from spanguard.telemetry.spans import GuardSpan, annotate, has_provider, root_of, start_child_span

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DegradationStats:
    """What a policy did since it was built.

    Attributes:
        name: the policy's name.
        primary: calls that answered themselves.
        value: calls that a value stood in for.
        function: calls that a function stood in for.
        stale: calls that an earlier answer stood in for.
        none: calls that failed for good.
    """

    name: str
    primary: int
    value: int
    function: int
    stale: int
    none: int


class GracefulDegradation:
    """Answers a call that fails from the first source that can: a value, a function, the last good answer, in any order.

        prices = GracefulDegradation(LastGood(max_age=600), read_replica, 0.0, name="prices")

        @prices                                       # on def and async def
        def price(symbol: str) -> float: ...

        answer = prices.answer(price_of, "ETH")       # Answer(value, degraded): says whether it is degraded

    A source can be bound to certain errors with its own `on`. Cancellation, `KeyboardInterrupt` and the like, and
    `ConfigurationError`, are never answered.

    Args:
        sources: tried in this order. A function is taken as `FallbackFunction`, anything else as `FallbackValue`.
        on: the errors that are answered at all.
        name: the policy name in every signal; keep it low in cardinality.
        clock: what measures the age of answers.

    Raises:
        ConfigurationError: one or more settings are out of range or contradict each other; all are named.
    """

    def __init__(self, *sources: Any, name: str, on: Errors = Exception, clock: Clock = SYSTEM_CLOCK) -> None:
        self._name = forms.check_name("degradation", name)
        self._on = on
        self._sources = [
            (source, Memory(source, clock) if isinstance(source, LastGood) else None)
            for source in map(as_source, sources)
        ]
        _check(name, on, [source for source, _ in self._sources])
        self._memories = [memory for _, memory in self._sources if memory is not None]
        self._tally = forms.Tally(semconv.DEGRADATION_ANSWERS_METRIC, name, semconv.DEGRADATION_SOURCE)

    def __repr__(self) -> str:
        # Values may be anything, so they are not shown.
        kinds = ", ".join(type(source).__name__ for source, _ in self._sources)
        return f"<GracefulDegradation {self._name!r}: {kinds}>"

    @property
    def name(self) -> str:
        """The policy name in every signal."""
        return self._name

    @property
    def answers(self) -> tuple[type[BaseException], ...]:
        """The errors that are answered: each source's own, or else those of the policy."""
        bound = [self._on if source.on is Exception else source.on for source, _ in self._sources]
        return tuple(dict.fromkeys(kind for on in bound for kind in (on if isinstance(on, tuple) else (on,))))

    def call(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call `func`; if it fails, return the answer of the first source that has one.

        Raises:
            FallbackFailedError: it failed, and so did one or more of the sources, and none had an answer.
            Exception: what `func` raised, if no source is meant for that error or has an answer.
            TypeError: a function returned a coroutine or a generator; use `call_async`.
        """
        return self.answer(func, *args, **kwargs).value

    async def call_async(self, func: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        """Await `func(*args, **kwargs)`; if it fails, return the answer of the first source that has one.

        Raises what `call` raises.
        """
        return (await self.answer_async(func, *args, **kwargs)).value

    def answer(self, func: Callable[..., T], *args: Any, **kwargs: Any) -> Answer[T]:
        """Do what `call` does, and tell whether the answer is degraded."""
        if has_provider():
            with forms.spanned(self._name, root_of(func)) as span:
                return self._answer(span, func, args, kwargs)
        return self._answer(None, func, args, kwargs)

    async def answer_async(self, func: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> Answer[T]:
        """Do what `call_async` does, and tell whether the answer is degraded."""
        if has_provider():
            with forms.spanned(self._name, root_of(func)) as span:
                return await self._answer_async(span, func, args, kwargs)
        return await self._answer_async(None, func, args, kwargs)

    def _answer(
        self, span: GuardSpan | None, func: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Answer[T]:
        try:
            value = func(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - which of them are answered is what the policy says
            recovery = _Recovery(self, span, error)
            for function in recovery.functions(self._sources, func, args, kwargs):
                with recovery.running():
                    recovery.answered(forms.finished(self._name, function(*args, **kwargs)), "function")
            try:
                return recovery.result()
            finally:
                del recovery  # or the error's traceback would keep itself alive, as with Python's own `error` here
        self._keep(func, args, kwargs, forms.finished(self._name, value))
        return Answer(value)

    async def _answer_async(
        self, span: GuardSpan | None, func: Callable[..., Awaitable[T]], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Answer[T]:
        try:
            value = await func(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - which of them are answered is what the policy says
            recovery = _Recovery(self, span, error)
            for function in recovery.functions(self._sources, func, args, kwargs):
                with recovery.running():
                    stand_in = function(*args, **kwargs)
                    recovery.answered(await stand_in if inspect.isawaitable(stand_in) else stand_in, "function")
            try:
                return recovery.result()
            finally:
                del recovery  # as above
        self._keep(func, args, kwargs, value)
        return Answer(value)

    def __call__(self, function: Callable[P, T], /) -> Callable[P, T]:
        """Decorate a function or coroutine function.

        Raises:
            ConfigurationError: it is a generator function, or a plain one whose fallback is a coroutine function.
        """
        for source, _ in self._sources:
            if (
                isinstance(source, FallbackFunction)
                and inspect.iscoroutinefunction(source.function)
                and not inspect.iscoroutinefunction(function)
            ):
                raise ConfigurationError(
                    f"degradation {self._name!r}: {source.function.__qualname__} is a coroutine function and cannot "
                    f"stand in for the plain function {function.__qualname__}; make both of one kind."
                )
        return forms.decorate(self._name, function, self.call, self.call_async)

    def stats(self) -> DegradationStats:
        """Return what is known now."""
        total = self._tally.total
        return DegradationStats(
            self._name, total("primary"), total("value"), total("function"), total("stale"), total("none")
        )

    def _keep(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], value: Any) -> None:
        for memory in self._memories:
            memory.keep(func, args, kwargs, value)
        self._tally.bump("primary")

    def _covers(self, error: Exception) -> bool:
        return isinstance(error, self._on) and not isinstance(error, ConfigurationError)


class _Recovery:
    """The search for an answer to one call that failed."""

    __slots__ = ("_degraded", "_error", "_failures", "_policy", "_span", "_value")

    def __init__(self, policy: GracefulDegradation, span: GuardSpan | None, error: Exception) -> None:
        self._policy = policy
        self._span = span
        self._error = error
        self._failures: list[Exception] = []
        self._degraded: Degraded | None = None
        self._value: Any = None

    def functions(
        self,
        sources: list[tuple[Source, Memory | None]],
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Iterator[Callable[..., Any]]:
        """Ask the sources in turn until there is an answer; return those that must be called for it."""
        if not self._policy._covers(self._error):  # noqa: SLF001 - its own module
            return
        for source, memory in sources:
            if not isinstance(self._error, source.on):
                continue
            if isinstance(source, FallbackFunction):
                yield source.function
            elif isinstance(source, FallbackValue):
                self.answered(source.value, "value")
            elif memory is not None and (kept := memory.recall(func, args, kwargs)) is not None:
                self.answered(kept.value, "stale", kept.age)
            if self._degraded is not None:
                return

    @contextmanager
    def running(self) -> Iterator[None]:
        """Put a function that stands in under a span of its own; note its failure and go on."""
        span = start_child_span(semconv.FALLBACK_SPAN, self._policy.name, self, {})
        if span is not None:
            span.__enter__()
        try:
            yield
        except Exception as failure:  # noqa: BLE001 - the next source has its turn
            self._failures.append(failure)
            forms.end_span(span, failure)
        except BaseException as gone:
            forms.end_span(span, gone)
            raise
        else:
            forms.end_span(span, None)

    def answered(self, value: Any, source: SourceName, age: float | None = None) -> None:
        """Take an answer."""
        self._value = value
        self._degraded = Degraded(self._policy.name, source, self._error, age)

    def result(self) -> Answer[Any]:
        """Return the answer, and tell that it is degraded.

        Raises:
            FallbackFailedError: there is none, and at least one source failed.
            Exception: what the call raised, if there is none otherwise.
        """
        degraded = self._degraded
        self._tell("none" if degraded is None else degraded.source, None if degraded is None else degraded.age)
        if degraded is not None:
            note(degraded)
            return Answer(self._value, degraded)
        if self._failures:
            raise FallbackFailedError(self._policy.name, [self._error, *self._failures]) from None
        raise self._error

    def _tell(self, source: str, age: float | None) -> None:
        name = self._policy.name
        self._policy._tally.bump(source, self._error)  # noqa: SLF001 - its own module
        if self._span is not None:
            self._span.set(semconv.DEGRADATION_SOURCE, source)
        else:
            annotate({semconv.POLICY_NAME.key: name, semconv.DEGRADATION_SOURCE.key: source})
        emit(
            semconv.DEGRADATION_EVENT,
            {
                semconv.POLICY_NAME.key: name,
                semconv.DEGRADATION_SOURCE.key: source,
                semconv.ERROR_TYPE.key: error_type(self._error),
                semconv.DEGRADATION_AGE.key: age,
            },
            body=f"degradation {name!r}: a call failed with {error_type(self._error)}; answered by: {source}",
            severity=SeverityNumber.WARN,
        )


def fallback(
    *sources: Any, name: str | None = None, on: Errors = Exception, clock: Clock = SYSTEM_CLOCK
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function with a `GracefulDegradation` of its own: `@fallback(LastGood(), [])`.

    Args:
        sources: tried in this order.
        name: the policy name; the function's qualified name, if left out.
        on: the errors that are answered at all.
        clock: what measures the age of answers.

    Raises:
        ConfigurationError: one or more settings are wrong; when it decorates.
    """

    def decorator(function: Callable[P, T]) -> Callable[P, T]:
        return GracefulDegradation(*sources, name=name or function.__qualname__, on=on, clock=clock)(function)

    return decorator


def _check(name: str, on: Errors, sources: list[Source]) -> None:
    problems = [*_wrong_errors("on", on)]
    if not sources:
        problems.append("there is no source, so nothing could stand in; give a value, a function or LastGood().")
    catch_all: int | None = None
    for number, source in enumerate(sources, start=1):
        if catch_all is not None:
            problems.append(
                f"source {number} would never be asked, because source {catch_all} is a value that answers every "
                "error; put it last or bind it to certain errors with on=."
            )
        problems += _wrong_errors(f"on of source {number}", source.on)
        if isinstance(source, LastGood):
            problems += _wrong_memory(source)
        if isinstance(source, FallbackValue) and source.on in (Exception, on):
            catch_all = number
    if problems:
        raise ConfigurationError([f"degradation {name!r}: {problem}" for problem in problems])


def _wrong_errors(setting: str, errors: object) -> Iterator[str]:
    classes = errors if isinstance(errors, tuple) else (errors,)
    if not classes or not all(isinstance(cls, type) and issubclass(cls, Exception) for cls in classes):
        yield f"{setting} is {errors!r}; it must be a subclass of Exception, or a tuple of such."


def _wrong_memory(source: LastGood) -> Iterator[str]:
    problem = forms.wrong_seconds("max_age of LastGood", source.max_age)
    if problem:
        yield problem
    entries: object = source.max_entries
    if not isinstance(entries, int) or isinstance(entries, bool) or entries < 1:
        yield f"max_entries of LastGood is {entries!r}; it must be a whole number of at least 1."
