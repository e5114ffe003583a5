"""How a caller can tell a degraded answer from a real one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

T = TypeVar("T")

SourceName = Literal["value", "function", "stale"]


@dataclass(frozen=True, slots=True)
class Degraded:
    """Why and how an answer is degraded.

    Attributes:
        name: the policy's name.
        source: "value", "function", or "stale" for an earlier answer.
        error: what the call raised.
        age: seconds since a stale answer was given by the call itself; None for the others.
    """

    name: str
    source: SourceName
    error: Exception
    age: float | None = None


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """An answer, and whether it is the call's own.

    Attributes:
        value: the answer.
        degraded: how it is degraded; None if it is the call's own.
    """

    value: T
    degraded: Degraded | None = None

    @property
    def is_degraded(self) -> bool:
        """Whether the call failed and something else stands in."""
        return self.degraded is not None


_collected: Final[ContextVar[list[Degraded] | None]] = ContextVar("spanguard.degraded_answers", default=None)


@contextmanager
def degraded_answers() -> Iterator[list[Degraded]]:
    """Collect what was degraded inside a block, however deep.

        with degraded_answers() as degraded:
            ...

    The list follows the context: awaited coroutines, new tasks and `asyncio.to_thread` write to it, a bare
    `threading.Thread` does not. A block around this one collects them too.
    """
    outer = _collected.get()
    collected: list[Degraded] = []
    marker = _collected.set(collected)
    try:
        yield collected
    finally:
        _collected.reset(marker)
        if outer is not None:
            outer.extend(collected)


def note(degraded: Degraded) -> None:
    """Tell the innermost `degraded_answers` block."""
    collected = _collected.get()
    if collected is not None:
        collected.append(degraded)
