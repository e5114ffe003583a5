"""One call's way through its attempts: whether there is another one, after which wait, and what is told of it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from threading import get_ident
from typing import Any, Final

from spanguard import semconv
from spanguard.clock import Clock
from spanguard.error_handling.retry.backoff import Uniform, backoff, retry_after
from spanguard.error_handling.retry.budget import Deposits, NoBudget, RetryBudget
from spanguard.error_handling.retry.config import RetryConfig
from spanguard.errors import DeadlineExceededError
from spanguard.instrumentation.tenacity import Reason, RetrySignals, describe
from spanguard.telemetry import Cell, error_type
from spanguard.telemetry.deadline import check_deadline, remaining
from spanguard.telemetry.internal import safely
from spanguard.telemetry.spans import GuardSpan, add_child, has_provider, root_of, start_child_span, start_guard_span

CALLER_WENT_AWAY: Final = (KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError)


class Lane:
    """What one thread bumps for one policy: the calls it has begun, and those that succeeded at once."""

    __slots__ = ("begun", "succeeded")

    def __init__(self, begun: Deposits, succeeded: Cell) -> None:
        self.begun = begun
        self.succeeded = succeeded


@dataclass(frozen=True, slots=True)
class Policy:
    """What all calls through one retry share."""

    config: RetryConfig
    signals: RetrySignals
    budget: RetryBudget | NoBudget
    clock: Clock
    uniform: Uniform
    lanes: dict[int, Lane] = field(default_factory=dict)

    def begin_call(self, now: float) -> None:
        """Take in that a call begins: it pays into the budget."""
        self.budget.look(now)
        lane = self.lanes.get(get_ident())
        if lane is None:
            lane = self.lanes[get_ident()] = Lane(self.budget.meet_thread(), self.signals.meet_thread())
        lane.begun.calls += 1


class Journey:
    """`enter`, then one of `failed` and `returned`; while these return seconds, a pause of so long and again.

    Args:
        policy: the retry.
        operation: what is retried, for the spans of stacked guards.
        started: when the first attempt began, or begins, on the policy's clock.
        attempts: 1 if the first attempt was made already, without a span.
        blocking: whether a pause blocks the thread.
    """

    __slots__ = (
        "_attempt_span",
        "_blocking",
        "_failed_with",
        "_guard_span",
        "_operation",
        "_policy",
        "_started",
        "attempts",
        "delay",
    )

    def __init__(
        self, policy: Policy, operation: Any, started: float, *, attempts: int = 0, blocking: bool = True
    ) -> None:
        self._policy = policy
        self._operation = operation
        self._started = started
        self._blocking = blocking
        self._failed_with: dict[str, str] = {}
        self._guard_span: GuardSpan | None = None
        self._attempt_span: GuardSpan | None = None
        self.attempts = attempts
        self.delay: float | None = None

    # --- an attempt ------------------------------------------------------------------------------------------------

    def enter(self) -> None:
        """Begin an attempt.

        Raises:
            DeadlineExceededError: there is no time for the first one.
        """
        if self.attempts == 0:
            self._begin()
        self.attempts += 1
        if self._guard_span is not None:
            self._guard_span.__enter__()
        if self.attempts > 1 and has_provider():
            self._attempt_span = start_child_span(
                semconv.ATTEMPT_SPAN,
                self._policy.signals.policy,
                root_of(self._operation),
                {semconv.RETRY_ATTEMPT: self.attempts},
            )
            if self._attempt_span is not None:
                self._attempt_span.__enter__()

    def _begin(self) -> None:
        policy = self._policy
        policy.begin_call(self._started)
        if has_provider():
            self._guard_span = start_guard_span(
                policy.signals.policy, root_of(self._operation), policy.signals.span_attributes
            )
        try:
            check_deadline(f"retry {policy.signals.policy!r}: the call")
        except DeadlineExceededError as error:
            self._give_up("deadline", error)
            raise

    def failed(self, error: BaseException) -> float | None:
        """Take in what an attempt raised; return the seconds to wait for the next one, None if there is none."""
        self._leave("failure", error)
        if isinstance(error, CALLER_WENT_AWAY):
            self.cancelled(error)
            return None
        if not self._wants_retry(error):
            self._give_up("not_retryable", error)
            return None
        return self._go_on(error)

    def returned(self, result: Any) -> float | None:
        """Take in what an attempt returned; return the seconds to wait for the next one, None if there is none."""
        self._leave("success", None)
        if self._wants_other(result):
            return self._go_on(None)
        self.succeeded()
        return None

    def succeeded(self) -> None:
        """Report the end of a call that went well."""
        self._leave("success", None)
        self._policy.signals.succeeded(self.attempts)
        self._end("success", None)

    def cancelled(self, error: BaseException) -> None:
        """Report that the caller went away, during an attempt or a pause."""
        self._policy.signals.cancelled(error)
        if self._guard_span is not None:
            self._guard_span.set(semconv.ERROR_TYPE, error_type(error))
        self._end("failure", None)

    # --- a pause ---------------------------------------------------------------------------------------------------

    def pause(self, seconds: float) -> None:
        """Sleep, and remember it."""
        begun = time.time_ns()
        try:
            self._policy.clock.sleep(seconds)
        except BaseException as error:
            self.cancelled(error)
            raise
        self._paused(begun)

    async def pause_async(self, seconds: float) -> None:
        """Sleep without holding the event loop up, and remember it; a cancellation ends it at once."""
        begun = time.time_ns()
        try:
            await self._policy.clock.sleep_async(seconds)
        except BaseException as error:
            self.cancelled(error)
            raise
        self._paused(begun)

    def _paused(self, begun: int) -> None:
        if not has_provider():
            return
        if self._guard_span is not None:
            self._guard_span.__enter__()
        add_child(
            semconv.BACKOFF_SPAN,
            self._policy.signals.policy,
            {semconv.RETRY_ATTEMPT.key: self.attempts, **self._failed_with},
            start_time=begun,
        )
        if self._guard_span is not None:
            self._guard_span.__exit__()

    # --- whether there is another one ------------------------------------------------------------------------------

    def _go_on(self, error: BaseException | None) -> float | None:
        reason = self._reason_to_stop(error)
        if reason is not None:
            self._give_up(reason, error)
            return None
        assert self.delay is not None  # noqa: S101 - there is no reason to stop only where there is a delay
        self._policy.signals.backs_off(self.delay)
        self._failed_with = {} if error is None else {semconv.ERROR_TYPE.key: error_type(error)}
        return self.delay

    def _reason_to_stop(self, error: BaseException | None) -> Reason | None:
        """Set `delay`. The budget comes last, so that it pays only for what is made."""
        policy, config = self._policy, self._policy.config
        if config.max_attempts is not None and self.attempts >= config.max_attempts:
            return "attempts"
        self.delay = delay = self._delay_after(error)
        if config.timeout is not None and self._elapsed() + delay >= config.timeout:
            return "timeout"
        left = remaining()
        if left is not None and delay >= left:
            return "deadline"
        if delay > 0 and self._blocking and _runs_a_loop():
            return "would_block"
        if not policy.budget.try_spend():
            return "budget"
        return None

    def _delay_after(self, error: BaseException | None) -> float:
        policy, config = self._policy, self._policy.config
        delay = backoff(config, self.attempts, self.delay or 0.0, policy.uniform)
        if error is not None and config.honor_retry_after:
            with safely("retry.retry_after"):
                asked = retry_after(error, policy.clock)
                if asked is not None:
                    return max(delay, min(asked, config.max_retry_after))
        return delay

    def _wants_retry(self, error: BaseException) -> bool:
        with safely("retry.retry_on"):
            return self._policy.config.wants_retry(error)
        return False

    def _wants_other(self, result: Any) -> bool:
        judge = self._policy.config.retry_result
        if judge is None:
            return False
        with safely("retry.retry_result"):
            return bool(judge(result))
        return False

    # --- the end ---------------------------------------------------------------------------------------------------

    def _give_up(self, reason: Reason, error: BaseException | None) -> None:
        signals, elapsed = self._policy.signals, self._elapsed()
        signals.failed(self.attempts, reason, error, elapsed)
        if error is not None and self.attempts and (self.attempts > 1 or reason != "not_retryable"):
            _add_note(error, describe(signals.policy, self.attempts, reason, elapsed))
        if self._guard_span is not None:
            self._guard_span.set(semconv.RETRY_REASON, reason)
        self._end("failure", error)

    def _elapsed(self) -> float:
        return self._policy.clock.monotonic() - self._started

    def _leave(self, outcome: str, error: BaseException | None) -> None:
        attempt_span, self._attempt_span = self._attempt_span, None
        if attempt_span is not None:
            attempt_span.__exit__()
            attempt_span.end(outcome, error)
        if self._guard_span is not None:
            self._guard_span.__exit__()

    def _end(self, outcome: str, error: BaseException | None) -> None:
        span, self._guard_span = self._guard_span, None
        self.delay = None
        if span is None:
            return
        if self.attempts != 1:
            span.set(semconv.RETRY_ATTEMPTS, self.attempts)
        span.end(outcome, error)


def _runs_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _add_note(error: BaseException, note: str) -> None:
    """An error object that is raised again and again gets one note, not many."""
    start = note.partition(" after ")[0]
    if not any(known.startswith(start) for known in getattr(error, "__notes__", ())):
        error.add_note(note)
