"""What a circuit breaker raises in place of a call, or in place of the failure that opened it."""

from __future__ import annotations

import pybreaker

from spanguard.errors import SpanguardError, notes_of
from spanguard.instrumentation.pybreaker import UNNAMED, State
from spanguard.telemetry import error_type


class CircuitBreakerError(SpanguardError, pybreaker.CircuitBreakerError):
    """The breaker refused the call, or the call's failure opened it (then that failure is the `__cause__`).

    Attributes:
        name: the breaker's name, None if it has none.
        state: "open", or "half_open" when all probes are under way.
        retry_after: seconds until the breaker lets a probe through; 0.0 while probes are under way.
        last_error_type: the class of the last failure that the breaker counted, None if there was none.
        last_error: that failure itself; its message is in no text of this error, and pickling leaves it out.
    """

    def __init__(
        self,
        name: str | None,
        state: State,
        retry_after: float,
        *,
        was_called: bool = False,
        last_error: BaseException | None = None,
        last_error_type: str | None = None,
    ) -> None:
        self.name = name
        self.state = state
        self.retry_after = retry_after
        self.last_error = last_error
        self.last_error_type = error_type(last_error) if last_error is not None else last_error_type
        self._was_called = was_called
        super().__init__(self._message())

    @property
    def was_called(self) -> bool:
        """Whether the call was made, and its failure opened the breaker; else it was refused."""
        return self._was_called

    def _message(self) -> str:
        if self._was_called:
            what = "was opened by this call's failure"
        elif self.state == "open":
            what = "is open, so the call was not made"
        else:
            what = "is half-open and all its probes are under way, so the call was not made"
        last = "" if self.last_error_type is None else f" The last failure was {self.last_error_type}."
        when = f" Try again in {self.retry_after:.3g} s." if self.state == "open" else ""
        return f"circuit breaker {self.name or UNNAMED!r} {what}.{last}{when}"

    def __reduce__(self) -> tuple[object, ...]:
        known = (type(self), self.name, self.state, self.retry_after, self._was_called, self.last_error_type)
        return _rebuild, known, notes_of(self)


def _rebuild(
    cls: type[CircuitBreakerError],
    name: str | None,
    state: State,
    retry_after: float,
    was_called: bool,
    last_error_type: str | None,
) -> CircuitBreakerError:
    return cls(name, state, retry_after, was_called=was_called, last_error_type=last_error_type)
