"""The decorator form of a limiter: one span for the guarded call, where a tracer records."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from spanguard.rate_limiter.errors import RateLimitExceededError
from spanguard.telemetry.spans import has_provider, root_of, start_guard_span

F = TypeVar("F", bound=Callable[..., Any])


def limited(policy: str, admit: Callable[[], None], function: F) -> F:
    """Wrap a function, sync or async, so that `admit` lets each call pass or raises."""
    operation = root_of(function)
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            if not has_provider():
                admit()
                return await function(*args, **kwargs)
            with _span(policy, operation):
                admit()
                return await function(*args, **kwargs)

        return cast(F, call_async)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not has_provider():
            admit()
            return function(*args, **kwargs)
        with _span(policy, operation):
            admit()
            return function(*args, **kwargs)

    return cast(F, call)


@contextmanager
def _span(policy: str, operation: object) -> Iterator[None]:
    span = start_guard_span(policy, operation)
    if span is None:
        yield
        return
    outcome = "success"
    error: BaseException | None = None
    with span:
        try:
            yield
        except RateLimitExceededError as refusal:
            outcome, error = "rejected", refusal
            raise
        except BaseException as failure:
            outcome, error = "failure", failure
            raise
        finally:
            span.end(outcome, error)
