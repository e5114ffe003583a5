"""The forms of a guarded call beyond a plain one: blocks, generators, coroutines and decorated functions."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from types import AsyncGeneratorType, CoroutineType, GeneratorType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from spanguard.error_handling.circuit_breaker.core import BreakerCore
from spanguard.error_handling.circuit_breaker.passage import Passage

if TYPE_CHECKING:
    from spanguard.error_handling.circuit_breaker.breaker import CircuitBreaker

DEFERRED: Final = frozenset({GeneratorType, CoroutineType, AsyncGeneratorType})
"""What a function may return that does its work only later."""


class Calling:
    """What `calling()` returns: the block under `with` or `async with` is one guarded call."""

    __slots__ = ("_core", "_operation", "_passage")

    def __init__(self, core: BreakerCore, operation: object) -> None:
        self._core = core
        self._operation = operation or self
        self._passage: Passage | None = None

    def __enter__(self) -> Self:
        """Begin the call.

        Raises:
            CircuitBreakerError: the breaker refuses it.
        """
        passage = self._new_passage()
        passage.enter(self.__enter__, (), {}, span_of=self._operation)
        self._passage = passage
        return self

    def _new_passage(self) -> Passage:
        if self._passage is not None:
            raise RuntimeError("this calling() block is under way; ask the breaker for another with calling().")
        return Passage(self._core)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Report how the block ended; its error goes on.

        Raises:
            CircuitBreakerError: the block's failure opened the breaker.
        """
        passage, self._passage = self._passage, None
        if passage is None:
            return
        if error is None:
            passage.succeed()
        else:
            passage.fail(error)

    async def __aenter__(self) -> Self:
        """Begin the call, as `__enter__` does."""
        passage = self._new_passage()
        await passage.enter_async(self.__enter__, (), {}, span_of=self._operation)
        self._passage = passage
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Report how the block ended, as `__exit__` does."""
        self.__exit__(kind, error, traceback)


def defer(passage: Passage, result: Any) -> Any:
    """Return what does the same work as `result`, and ends the suspended passage when that is done."""
    if isinstance(result, GeneratorType):
        return guard_generator(passage, result)
    if isinstance(result, CoroutineType):
        return guard_coroutine(passage, result)

    async def start() -> tuple[Passage, AsyncGenerator[Any, Any]]:
        return passage, result

    return async_generator_function(start)()


async def guard_coroutine(passage: Passage, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Await what the passage stands for."""
    passage.resume()
    try:
        result = await coroutine
    except BaseException as error:
        passage.fail(error)
        raise
    passage.succeed()
    return result


def guard_generator(passage: Passage, inner: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Iterate what the passage stands for; it ends when `inner` is exhausted, raises or is closed."""
    step: Callable[[], Any] = functools.partial(next, inner)
    while True:
        passage.resume()
        try:
            value = step()
        except StopIteration as stop:
            passage.succeed()
            return stop.value
        except BaseException as error:
            passage.fail(error)
            raise
        passage.suspend()
        try:
            sent = yield value
        except GeneratorExit as closed:
            _close(passage, inner, closed)
            raise
        except BaseException as thrown:  # noqa: BLE001 - `throw` hands over whatever the caller likes
            step = functools.partial(inner.throw, thrown)
        else:
            step = functools.partial(inner.send, sent)


def _close(passage: Passage, inner: Generator[Any, Any, Any], closed: GeneratorExit) -> None:
    passage.resume()
    try:
        inner.close()
    except BaseException as error:
        passage.fail(error)
        raise
    passage.fail(closed)


def async_generator_function(
    start: Callable[..., Awaitable[tuple[Passage, AsyncGenerator[Any, Any]]]],
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Return a function that iterates what `start` returns; the passage ends with it, or when it raises or is closed."""

    async def iterate(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        passage, inner = await start(*args, **kwargs)
        step: Callable[[], Any] = inner.__anext__
        while True:
            passage.resume()
            try:
                value = await step()
            except StopAsyncIteration:
                passage.succeed()
                return
            except BaseException as error:
                passage.fail(error)
                raise
            passage.suspend()
            try:
                sent = yield value
            except GeneratorExit as closed:
                await _close_async(passage, inner, closed)
                raise
            except BaseException as thrown:  # noqa: BLE001 - `athrow` hands over whatever the caller likes
                step = functools.partial(inner.athrow, thrown)
            else:
                step = functools.partial(inner.asend, sent)

    return iterate


async def _close_async(passage: Passage, inner: AsyncGenerator[Any, Any], closed: GeneratorExit) -> None:
    passage.resume()
    try:
        await inner.aclose()
    except BaseException as error:
        passage.fail(error)
        raise
    passage.fail(closed)


def decorate(
    find: Callable[[], CircuitBreaker], function: Callable[..., Any], *, call_async: bool = False
) -> Callable[..., Any]:
    """Return `function` guarded by the breaker that `find` returns at each call.

    Coroutine functions and async generator functions are guarded from the moment they run, all others, and the
    generators they may return, from the call. With `call_async` it is awaited whatever kind of function it is.
    """
    if call_async or inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def guarded_coroutine(*args: Any, **kwargs: Any) -> Any:
            return await find().call_async(function, *args, **kwargs)

        return guarded_coroutine

    if inspect.isasyncgenfunction(function):

        async def start(*args: Any, **kwargs: Any) -> tuple[Passage, AsyncGenerator[Any, Any]]:
            passage = Passage(find()._core)  # noqa: SLF001 - the other half of the breaker
            await passage.enter_async(function, args, kwargs)
            passage.suspend()
            return passage, function(*args, **kwargs)

        return functools.wraps(function)(async_generator_function(start))

    @functools.wraps(function)
    def guarded_call(*args: Any, **kwargs: Any) -> Any:
        return find().call(function, *args, **kwargs)

    return guarded_call
