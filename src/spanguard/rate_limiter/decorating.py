"""The forms of a limited call: a decorated function, and a block under `with`. One span each, where a tracer records."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, TypeVar, cast

from spanguard import forms
from spanguard.errors import ConfigurationError
from spanguard.rate_limiter.errors import RateLimitExceededError
from spanguard.rate_limiter.status import RateLimitStatus
from spanguard.telemetry.spans import GuardSpan, has_provider, root_of

F = TypeVar("F", bound=Callable[..., Any])


class Acquires(Protocol):
    """What of a limiter is needed here."""

    @property
    def name(self) -> str:
        """The policy's name."""
        ...

    def acquire(self, tokens: int, *, wait: bool, timeout: float | None, key: str) -> RateLimitStatus:
        """Ask for permits."""
        ...

    async def acquire_async(
        self,
        tokens: int,
        *,
        wait: bool,
        timeout: float | None,  # noqa: ASYNC109 - the limiter's own meaning
        key: str,
    ) -> RateLimitStatus:
        """Ask for permits."""
        ...


class Limiting:
    """What `limiting()` returns: a decorator, and a context manager for `with` and `async with`.

    The function or the block runs with its permits, or `RateLimitExceededError` is raised in its place. Permits of a rate
    are used up, so leaving the block gives none back. One object serves one block at a time.
    """

    __slots__ = ("_key", "_limiter", "_span", "_timeout", "_tokens", "_wait")

    def __init__(
        self, limiter: Acquires, tokens: int, wait: bool, timeout: float | None, key: str | Callable[..., str]
    ) -> None:
        self._limiter = limiter
        self._tokens = tokens
        self._wait = wait
        self._timeout = timeout
        self._key = key
        self._span: GuardSpan | None = None

    def __enter__(self) -> RateLimitStatus:
        """Get the permits; what it gives is the decision."""
        key = self._block_key()
        self._span = forms.new_span(self._limiter.name, self)
        try:
            return self._admit(key)
        except BaseException as error:
            self._end(error)
            raise

    async def __aenter__(self) -> RateLimitStatus:
        """Get the permits; what it gives is the decision."""
        key = self._block_key()
        self._span = forms.new_span(self._limiter.name, self)
        try:
            return await self._admit_async(key)
        except BaseException as error:
            self._end(error)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the block's span; its error goes on."""
        span, self._span = self._span, None
        forms.end_span(span, error)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the block's span; its error goes on."""
        self.__exit__(kind, error, traceback)

    def __call__(self, function: F) -> F:
        """Decorate a function or coroutine function.

        Raises:
            ConfigurationError: it is a generator function, whose work is done only while somebody iterates.
        """
        name, operation = self._limiter.name, root_of(function)
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ConfigurationError(
                f"limiter {name!r} cannot guard {function.__qualname__}, a generator: its work is done only while "
                "somebody iterates. Limit the functions that it calls, or a block of it."
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                if not has_provider():
                    await self._admit_async(self._call_key(args, kwargs))
                    return await function(*args, **kwargs)
                with forms.spanned(name, operation, RateLimitExceededError):
                    await self._admit_async(self._call_key(args, kwargs))
                    return await function(*args, **kwargs)

            return cast(F, call_async)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if not has_provider():
                self._admit(self._call_key(args, kwargs))
                return function(*args, **kwargs)
            with forms.spanned(name, operation, RateLimitExceededError):
                self._admit(self._call_key(args, kwargs))
                return function(*args, **kwargs)

        return cast(F, call)

    def _admit(self, key: str) -> RateLimitStatus:
        status = self._limiter.acquire(self._tokens, wait=self._wait, timeout=self._timeout, key=key)
        if not status.allowed:
            raise RateLimitExceededError(self._limiter.name, status)
        return status

    async def _admit_async(self, key: str) -> RateLimitStatus:
        status = await self._limiter.acquire_async(self._tokens, wait=self._wait, timeout=self._timeout, key=key)
        if not status.allowed:
            raise RateLimitExceededError(self._limiter.name, status)
        return status

    def _call_key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        return self._key if isinstance(self._key, str) else self._key(*args, **kwargs)

    def _block_key(self) -> str:
        if self._span is not None:
            raise RuntimeError("this limiting() block is under way; ask the limiter for another with limiting().")
        if isinstance(self._key, str):
            return self._key
        raise ConfigurationError(
            f"limiter {self._limiter.name!r}: a block has no arguments to make a key of; give limiting(key=...) a text"
        )

    def _end(self, error: BaseException) -> None:
        span, self._span = self._span, None
        forms.end_span(span, error, is_refusal=isinstance(error, RateLimitExceededError))
