"""The letters of a guard: a call that failed for good is kept, so that it can be made again later."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from spanguard.error_handling import DeadLetterQueue, FallbackFailedError
from spanguard.errors import PROGRAMMING_ERRORS, BlockingWaitError, ConfigurationError
from spanguard.telemetry import error_type
from spanguard.telemetry.internal import note_failure

Call = Callable[..., Any]

NOT_KEPT: Final = (ConfigurationError, BlockingWaitError, *PROGRAMMING_ERRORS)
"""What is wrong with the program, or with how it is set up. No letter is written: a replay would end the same way."""

_attempts: Final[ContextVar[list[int] | None]] = ContextVar("spanguard.guard.attempts", default=None)


def count_attempt(stage: Call, func: Call) -> Call:
    """Let each run of a stage count as an attempt of the call that is under way."""

    def attempt(*args: Any, **kwargs: Any) -> Any:
        counter = _attempts.get()
        if counter is not None:
            counter[0] += 1
        return stage(*args, **kwargs)

    attempt.__dict__["__wrapped__"] = func
    return attempt


@dataclass(frozen=True, slots=True)
class Letters:
    """Writes the letters of one guard.

    Attributes:
        queue: where to.
        operation: the name under which the handler is registered.
        payload: makes the payload of the call's arguments.
    """

    queue: DeadLetterQueue
    operation: str
    payload: Callable[..., Any]

    def wrap(self, stage: Call, func: Call) -> Call:
        """Put this around a stage."""

        def lettered(*args: Any, **kwargs: Any) -> Any:
            counter = [0]
            marker = _attempts.set(counter)
            try:
                return stage(*args, **kwargs)
            except Exception as error:
                if _is_worth_a_letter(error):
                    try:
                        self.queue.add(
                            self.operation, self.payload(*args, **kwargs), error=error, attempts=max(1, counter[0])
                        )
                    except Exception as failure:  # noqa: BLE001 - the caller is to see why the call failed
                        _tell_lost(error, failure)
                raise
            finally:
                _attempts.reset(marker)

        lettered.__dict__["__wrapped__"] = func
        return lettered

    def wrap_async(self, stage: Call, func: Call) -> Call:
        """Put this around an async stage; the letter is written in a thread."""

        async def lettered(*args: Any, **kwargs: Any) -> Any:
            counter = [0]
            marker = _attempts.set(counter)
            try:
                return await stage(*args, **kwargs)
            except Exception as error:
                if _is_worth_a_letter(error):
                    try:
                        await self.queue.add_async(
                            self.operation, self.payload(*args, **kwargs), error=error, attempts=max(1, counter[0])
                        )
                    except Exception as failure:  # noqa: BLE001 - the caller is to see why the call failed
                        _tell_lost(error, failure)
                raise
            finally:
                _attempts.reset(marker)

        lettered.__dict__["__wrapped__"] = func
        return lettered


def _is_worth_a_letter(error: Exception) -> bool:
    cause = error.exceptions[0] if isinstance(error, FallbackFailedError) else error
    return not isinstance(cause, NOT_KEPT)


def _tell_lost(error: Exception, failure: Exception) -> None:
    note_failure("guard.dead_letter", failure)
    error.add_note(f"the dead letter of this call could not be stored: {error_type(failure)}")
