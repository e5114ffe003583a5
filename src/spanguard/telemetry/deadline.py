"""The deadline: how long the work of a block may take in all, known to every guard below it.

It is cooperative: nothing is interrupted. A guard asks `remaining()` before it waits or begins, and gives up early
instead of late. The deadline follows the context: awaited coroutines, new tasks and `asyncio.to_thread` have it, a
bare `threading.Thread` does not.
"""

from __future__ import annotations

import math
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final, Self

from opentelemetry import baggage
from opentelemetry import context as otel_context

from spanguard import semconv
from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.errors import ConfigurationError, DeadlineExceededError

_MOST_DIGITS: Final = 15


class Ends:
    """When it ends, on which clock."""

    __slots__ = ("at", "clock")

    def __init__(self, at: float, clock: Clock) -> None:
        self.at = at
        self.clock = clock

    def remaining(self) -> float:
        """Return the seconds that are left, 0.0 when it has passed."""
        return max(0.0, self.at - self.clock.monotonic())


current: Final[ContextVar[Ends | None]] = ContextVar("spanguard.deadline", default=None)
"""The deadline that covers the running code; None where there is none."""


def remaining() -> float | None:
    """Return the seconds that are left to the running code: 0.0 when the deadline has passed, None without one."""
    ends = current.get()
    return None if ends is None else ends.remaining()


def is_over() -> bool:
    """Tell whether the deadline of the running code has passed."""
    ends = current.get()
    return ends is not None and ends.at <= ends.clock.monotonic()


def check_deadline(what: str) -> None:
    """Refuse to begin what cannot finish.

    Args:
        what: names the work in the error's text.

    Raises:
        DeadlineExceededError: the deadline has passed.
    """
    ends = current.get()
    if ends is not None and ends.remaining() <= 0:
        raise DeadlineExceededError(f"{what} was not begun: its deadline has passed.")


class DeadlineScope:
    """What `deadline` and `received_deadline` return: the block under `with` or `async with` has the deadline."""

    __slots__ = ("_attached", "_clock", "_marker", "_propagate", "_seconds")

    def __init__(self, seconds: float | None, *, propagate: bool, clock: Clock) -> None:
        self._seconds = seconds
        self._propagate = propagate
        self._clock = clock
        self._marker: Token[Ends | None] | None = None
        self._attached: Token[otel_context.Context] | None = None

    def __enter__(self) -> Self:
        """Begin; the time counts from here. An outer deadline that ends sooner stands.

        Raises:
            DeadlineExceededError: it has passed already.
        """
        if self._marker is not None:
            raise RuntimeError("this deadline is in use; make another one with deadline().")
        left = [seconds for seconds in (self._seconds, remaining()) if seconds is not None]
        if not left:
            return self
        seconds = min(left)
        if seconds <= 0:
            raise DeadlineExceededError("the work was not begun: its deadline has passed.")
        self._marker = current.set(Ends(self._clock.monotonic() + seconds, self._clock))
        if self._propagate:
            at = int((self._clock.time() + seconds) * 1000)
            self._attached = otel_context.attach(baggage.set_baggage(semconv.DEADLINE_BAGGAGE, str(at)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Put the outer deadline back; what the block raised goes on."""
        marker, attached = self._marker, self._attached
        self._marker = self._attached = None
        # A generator may leave the block in another context than it entered it in; that one has nothing to put back.
        try:
            if attached is not None:
                otel_context.detach(attached)
            if marker is not None:
                current.reset(marker)
        except ValueError:
            pass

    async def __aenter__(self) -> Self:
        """Begin, as `__enter__` does."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Put the outer deadline back."""
        self.__exit__(kind, error, traceback)


def deadline(seconds: float, *, propagate: bool = False, clock: Clock = SYSTEM_CLOCK) -> DeadlineScope:
    """Bound the work of a block, under `with` or `async with`; all guards below it keep to that.

    Args:
        seconds: what the block may take in all, from the moment it is entered; at least 0 and finite.
        propagate: write the deadline into OpenTelemetry's baggage, so that instrumented clients send it along. Baggage
            goes to every service that is called, also to strangers.
        clock: for tests.

    Raises:
        ConfigurationError: `seconds` is negative, infinite or no number.
    """
    if not _are_seconds(seconds):
        raise ConfigurationError(f"deadline: seconds is {seconds!r}; it must be seconds, at least 0 and finite.")
    return DeadlineScope(seconds, propagate=propagate, clock=clock)


def received_deadline(*, clock: Clock = SYSTEM_CLOCK) -> DeadlineScope:
    """Keep to the deadline that the calling process sent in baggage, in a block under `with` or `async with`.

    Without a readable one the block is not bounded. It is an absolute time, as gRPC keeps it inside a process, so the
    clocks of both machines must agree; whoever sends a false one can only make its own request fail sooner.
    """
    sent = baggage.get_baggage(semconv.DEADLINE_BAGGAGE)
    seconds = None
    if isinstance(sent, str) and sent.isascii() and sent.isdigit() and len(sent) <= _MOST_DIGITS:
        seconds = max(0.0, int(sent) / 1000 - clock.time())
    return DeadlineScope(seconds, propagate=False, clock=clock)


def _are_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
