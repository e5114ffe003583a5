"""A block of code as one guarded call."""

from __future__ import annotations

from contextlib import AsyncExitStack, ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from spanguard import forms
from spanguard.errors import ConfigurationError
from spanguard.guard.outline import of_blocks
from spanguard.guard.pipeline import OFF, Pipeline, is_refusal
from spanguard.telemetry.spans import GuardSpan

if TYPE_CHECKING:
    from spanguard.guard.guarding import Guard


class Calling:
    """What `Guard.calling()` returns: the block under `with` or `async with` is one guarded call."""

    __slots__ = ("_async_stack", "_guard", "_span", "_stack")

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._span: GuardSpan | None = None
        self._stack: ExitStack | None = None
        self._async_stack: AsyncExitStack | None = None

    def __enter__(self) -> Self:
        """Begin the call; raises what a policy raises in its place."""
        pipeline = self._begin()
        policies, operation = pipeline.policies, self
        try:
            with ExitStack() as stack:
                if policies.deadline is not None:
                    stack.enter_context(policies.deadline.calling(operation))
                arrived = pipeline.now()
                if policies.rate_limiter is not None:
                    policies.rate_limiter.admit()
                if policies.bulkhead is not None:
                    stack.enter_context(policies.bulkhead.calling(operation))
                pipeline.note_admitted(self._span, arrived)
                for policy in (policies.circuit_breaker, policies.timeout):
                    if policy is not None:
                        stack.enter_context(policy.calling(operation))
                self._stack = stack.pop_all()
        except BaseException as error:
            self._end(error)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the call; what the block raised goes on, or what a policy raises in its place."""
        stack, self._stack = self._stack, None
        if stack is None:
            return
        try:
            stack.__exit__(kind, error, traceback)
        except BaseException as replaced:
            self._end(replaced)
            raise
        self._end(error)

    async def __aenter__(self) -> Self:
        """Begin the call, as `__enter__` does."""
        pipeline = self._begin()
        policies, operation = pipeline.policies, self
        try:
            async with AsyncExitStack() as stack:
                if policies.deadline is not None:
                    await stack.enter_async_context(policies.deadline.calling(operation))
                arrived = pipeline.now()
                if policies.rate_limiter is not None:
                    await policies.rate_limiter.admit_async()
                if policies.bulkhead is not None:
                    await stack.enter_async_context(policies.bulkhead.calling(operation))
                pipeline.note_admitted(self._span, arrived)
                for policy in (policies.circuit_breaker, policies.timeout):
                    if policy is not None:
                        await stack.enter_async_context(policy.calling(operation))
                self._async_stack = stack.pop_all()
        except BaseException as error:
            self._end(error)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the call, as `__exit__` does."""
        stack, self._async_stack = self._async_stack, None
        if stack is None:
            return
        try:
            await stack.__aexit__(kind, error, traceback)
        except BaseException as replaced:
            self._end(replaced)
            raise
        self._end(error)

    def _begin(self) -> Pipeline:
        guard = self._guard
        if self._stack is not None or self._async_stack is not None:
            raise RuntimeError("this calling() block is under way; ask the guard for another with calling().")
        pipeline = guard.pipeline()
        policies = pipeline.policies
        problems = [
            *of_blocks(
                guard.name,
                has_retry=policies.retry is not None,
                has_fallback=policies.fallback is not None,
                has_dead_letter=policies.letters is not None,
            )
        ]
        if problems:
            raise ConfigurationError(problems)
        self._span = None if pipeline is OFF else forms.new_span(guard.name, self)
        return pipeline

    def _end(self, error: BaseException | None) -> None:
        span, self._span = self._span, None
        forms.end_span(span, error, is_refusal=error is not None and is_refusal(error))
