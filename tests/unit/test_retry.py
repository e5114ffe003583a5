"""The retry: when there is another attempt, how long it waits, and what is told of it."""

from __future__ import annotations

import contextlib
import functools
import pickle
import time
from collections.abc import Callable
from datetime import timedelta
from email.message import Message
from typing import Any
from urllib.error import HTTPError

import httpx
import pybreaker
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace

from spanguard import semconv
from spanguard.clock import SYSTEM_CLOCK
from spanguard.error_handling import CircuitBreaker, Retry, RetryBudget, RetryConfig, deadline, retry_budget, with_retry
from spanguard.errors import ConfigurationError, DeadlineExceededError, SpanguardError
from spanguard.rate_limiter import TokenBucketLimiter
from spanguard.testing import FakeClock, Signals

CALLS = semconv.RETRY_CALLS_METRIC.name
OUTCOME = semconv.RETRY_OUTCOME.key
REASON = semconv.RETRY_REASON.key


class Dependency:
    """Raises what it is told to, one error after the other, and then returns its name; remembers when it was asked."""

    def __init__(self, clock: FakeClock, *errors: BaseException) -> None:
        self.clock = clock
        self.errors = list(errors)
        self.asked: list[float] = []

    def __call__(self) -> str:
        self.asked.append(self.clock.monotonic())
        if self.errors:
            raise self.errors.pop(0)
        return "answer"

    @property
    def waits(self) -> list[float]:
        return [round(after - before, 6) for before, after in zip(self.asked, self.asked[1:], strict=False)]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(auto_advance=True)


@pytest.fixture
def retry(clock: FakeClock) -> Callable[..., Retry]:
    def build(**changes: Any) -> Retry:
        settings: dict[str, Any] = {"jitter": "none", "base_delay": 1.0, "clock": clock, "name": "api", **changes}
        return Retry(**settings)

    return build


def errors(count: int) -> list[ConnectionError]:
    return [ConnectionError(str(number)) for number in range(count)]


# --- attempts --------------------------------------------------------------------------------------------------------


def test_a_call_that_fails_is_made_again_until_it_succeeds(retry: Callable[..., Retry], clock: FakeClock) -> None:
    dependency = Dependency(clock, *errors(2))
    assert retry().call(dependency) == "answer"
    assert len(dependency.asked) == 3


def test_the_last_error_itself_is_raised_with_a_note_that_says_why(
    retry: Callable[..., Retry], clock: FakeClock
) -> None:
    raised = errors(3)
    with pytest.raises(ConnectionError) as caught:
        retry().call(Dependency(clock, *raised))
    assert caught.value is raised[-1]
    assert caught.value.__notes__ == ["retry 'api' gave up after 3 attempts in 3 s: no attempts are left"]


def test_an_error_object_that_is_raised_again_and_again_gets_one_note(
    retry: Callable[..., Retry], clock: FakeClock
) -> None:
    error = ConnectionError()
    for _ in range(3):
        with pytest.raises(ConnectionError):
            retry().call(Dependency(clock, *[error] * 3))
    assert len(error.__notes__) == 1


def test_arguments_and_the_identity_of_a_decorated_function_are_kept(retry: Callable[..., Retry]) -> None:
    @retry()
    def add(left: int, *, right: int) -> int:
        """Add."""
        return left + right

    assert (add(1, right=2), add.__name__, add.__doc__) == (3, "add", "Add.")


def test_no_further_attempt_begins_after_the_timeout(retry: Callable[..., Retry], clock: FakeClock) -> None:
    dependency = Dependency(clock, *errors(10))
    with pytest.raises(ConnectionError, match="2"):
        retry(max_attempts=None, timeout=5.0).call(dependency)
    assert dependency.waits == [1, 2]


# --- which errors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        TypeError(),
        AttributeError(),
        NameError(),
        AssertionError(),
        KeyError(),
        StopIteration(),
        pybreaker.CircuitBreakerError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_refusals_and_programming_errors_are_not_retried_by_default(
    retry: Callable[..., Retry], clock: FakeClock, error: Exception
) -> None:
    dependency = Dependency(clock, error)
    with pytest.raises(type(error)):
        retry().call(dependency)
    assert len(dependency.asked) == 1
    assert not hasattr(error, "__notes__")


def test_an_open_breaker_and_an_empty_limiter_are_not_asked_again(retry: Callable[..., Retry]) -> None:
    breaker = CircuitBreaker(name="api")
    breaker.open()
    limiter = TokenBucketLimiter(0.001, 1, name="api")
    limiter.acquire()
    for refused in (breaker(int), limiter(int)):
        attempts: list[int] = []

        def call(refused: Callable[[], int] = refused, attempts: list[int] = attempts) -> int:
            attempts.append(1)
            return refused()

        with pytest.raises(SpanguardError):
            retry().call(call)
        assert len(attempts) == 1


def test_a_programming_error_that_is_named_is_retried(retry: Callable[..., Retry], clock: FakeClock) -> None:
    assert retry(retry_on=(OSError, KeyError)).call(Dependency(clock, KeyError(), OSError())) == "answer"


def test_only_the_named_classes_are_retried(retry: Callable[..., Retry], clock: FakeClock) -> None:
    with pytest.raises(ValueError, match="no"):
        retry(retry_on=OSError).call(Dependency(clock, ValueError("no")))


def test_a_function_decides_alone_which_errors_are_retried(retry: Callable[..., Retry], clock: FakeClock) -> None:
    picky = retry(retry_on=lambda error: "again" in str(error))
    assert picky.call(Dependency(clock, TypeError("again"))) == "answer"
    with pytest.raises(OSError, match="never"):
        picky.call(Dependency(clock, OSError("never")))


def test_a_function_that_fails_itself_leaves_the_error_of_the_call(
    retry: Callable[..., Retry], clock: FakeClock, signals: Signals
) -> None:
    with pytest.raises(OSError, match="mine"):
        retry(retry_on=lambda _: 1 / 0 > 0).call(Dependency(clock, OSError("mine")))
    assert signals.increase(semconv.TELEMETRY_ERRORS_METRIC.name, {semconv.COMPONENT.key: "retry.retry_on"}) == 1


def test_keyboard_interrupt_is_never_retried_even_if_it_is_named(
    retry: Callable[..., Retry], clock: FakeClock, signals: Signals
) -> None:
    dependency = Dependency(clock, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        retry(retry_on=BaseException).call(dependency)
    assert len(dependency.asked) == 1
    assert signals.increase(CALLS, {OUTCOME: "cancelled"}) == 1


def test_a_result_may_ask_for_another_attempt_and_the_last_one_is_returned(
    retry: Callable[..., Retry], signals: Signals
) -> None:
    answers = iter([503, 503, 200])
    picky = retry(retry_result=lambda status: status == 503)
    assert picky.call(lambda: next(answers)) == 200
    assert picky.call(lambda: 503) == 503
    assert signals.increase(CALLS, {OUTCOME: "success_with_retry"}) == 1
    assert signals.increase(CALLS, {OUTCOME: "failure_with_retry", REASON: "attempts"}) == 1


# --- waits -----------------------------------------------------------------------------------------------------------


def test_waits_grow_exponentially_up_to_the_cap(retry: Callable[..., Retry], clock: FakeClock) -> None:
    dependency = Dependency(clock, *errors(5))
    retry(max_attempts=6, multiplier=3.0, max_delay=20.0).call(dependency)
    assert dependency.waits == [1, 3, 9, 20, 20]


@pytest.mark.parametrize(
    ("jitter", "chance", "waits"),
    [
        ("full", 0.0, [0, 0, 0]),
        ("full", 0.5, [0.5, 1, 2]),
        ("equal", 0.0, [0.5, 1, 2]),
        ("equal", 1.0, [1, 2, 4]),
        ("decorrelated", 0.0, [1, 1, 1]),
        ("decorrelated", 1.0, [1, 3, 9]),
    ],
)
def test_jitter_spreads_the_waits(
    retry: Callable[..., Retry], clock: FakeClock, jitter: str, chance: float, waits: list[float]
) -> None:
    dependency = Dependency(clock, *errors(3))

    def uniform(least: float, most: float) -> float:
        return least + chance * (most - least)

    retry(max_attempts=4, jitter=jitter, uniform=uniform).call(dependency)
    assert dependency.waits == waits


@given(
    jitter=st.sampled_from(["none", "full", "equal", "decorrelated"]),
    base=st.floats(0, 10),
    more=st.floats(0, 1000),
    multiplier=st.floats(1, 1e300),
    attempts=st.integers(2, 12),
)
def test_no_wait_is_negative_or_above_the_cap(
    jitter: Any, base: float, more: float, multiplier: float, attempts: int
) -> None:
    clock = FakeClock(0.0, auto_advance=True)
    dependency = Dependency(clock, *errors(attempts - 1))
    config = RetryConfig(
        max_attempts=attempts, base_delay=base, max_delay=base + more, multiplier=multiplier, jitter=jitter, budget=None
    )
    Retry(config, clock=clock).call(dependency)
    assert all(0 <= wait <= base + more + 1e-3 for wait in dependency.waits)


class AskedToWaitError(ConnectionError):
    def __init__(self, retry_after: object) -> None:
        super().__init__("busy")
        self.retry_after = retry_after


def status_error(value: str) -> httpx.HTTPStatusError:
    response = httpx.Response(503, headers={"retry-after": value})
    return httpx.HTTPStatusError("busy", request=httpx.Request("GET", "http://x"), response=response)


def urllib_error(value: str) -> HTTPError:
    headers = Message()
    headers["RETRY-AFTER"] = value
    return HTTPError("http://x", 503, "busy", headers, None)


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (AskedToWaitError(7), 7),
        (AskedToWaitError(timedelta(seconds=8)), 8),
        (AskedToWaitError("9"), 9),
        (AskedToWaitError(0.25), 1),
        (AskedToWaitError(-3), 1),
        (AskedToWaitError(float("nan")), 1),
        (AskedToWaitError(float("inf")), 60),
        (AskedToWaitError("soon"), 1),
        (AskedToWaitError("9" * 400), 60),
        (AskedToWaitError(object()), 1),
        (AskedToWaitError("Tue, 14 Nov 2023 22:13:32 GMT"), 12),
        (AskedToWaitError("Tue, 14 Nov 2023 22:13:32 -0000"), 12),
        (AskedToWaitError("Tue, 14 Nov 2000 22:13:32 GMT"), 1),
        (status_error("11"), 11),
        (status_error("Tue, 14 Nov 2023 22:13:32 GMT"), 12),
        (urllib_error("13"), 13),
    ],
    ids=repr,
)
def test_retry_after_is_honoured_up_to_its_cap(
    retry: Callable[..., Retry], clock: FakeClock, error: Exception, wait: float
) -> None:
    dependency = Dependency(clock, error)  # the clock says Tue, 14 Nov 2023 22:13:20 GMT
    retry().call(dependency)
    assert dependency.waits == [wait]


def test_a_date_without_a_zone_is_in_gmt_wherever_the_machine_is(
    retry: Callable[..., Retry], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    dependency = Dependency(clock, AskedToWaitError("Tue, 14 Nov 2023 22:13:32 -0000"))
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        retry().call(dependency)
    time.tzset()
    assert dependency.waits == [12]


def test_retry_after_can_be_left_unheard(retry: Callable[..., Retry], clock: FakeClock) -> None:
    dependency = Dependency(clock, AskedToWaitError(7))
    retry(honor_retry_after=False).call(dependency)
    assert dependency.waits == [1]


# --- deadlines -------------------------------------------------------------------------------------------------------


def test_a_wait_that_would_pass_the_deadline_is_not_begun(
    retry: Callable[..., Retry], clock: FakeClock, signals: Signals
) -> None:
    dependency = Dependency(clock, *errors(5))
    with deadline(2.5, clock=clock), pytest.raises(ConnectionError):
        retry(max_attempts=6).call(dependency)
    assert dependency.waits == [1]
    assert signals.increase(CALLS, {OUTCOME: "failure_with_retry", REASON: "deadline"}) == 1


def test_a_call_whose_deadline_has_passed_is_refused(
    retry: Callable[..., Retry], clock: FakeClock, signals: Signals
) -> None:
    dependency = Dependency(clock)
    with deadline(1.0, clock=clock):
        clock.advance(1)
        with pytest.raises(DeadlineExceededError):
            retry().call(dependency)
    assert dependency.asked == []
    assert signals.increase(CALLS, {OUTCOME: "failure_without_retry", REASON: "deadline"}) == 1


# --- signals ---------------------------------------------------------------------------------------------------------


def test_every_call_counts_once_by_its_end(retry: Callable[..., Retry], clock: FakeClock, signals: Signals) -> None:
    policy = retry()
    for failures in (0, 0, 1, 3):
        dependency = Dependency(clock, *errors(failures))
        with contextlib.suppress(ConnectionError):
            policy.call(dependency)
    with pytest.raises(TypeError):
        policy.call(Dependency(clock, TypeError()))
    ends = {
        "success_without_retry": 2,
        "success_with_retry": 1,
        "failure_with_retry": 1,
        "failure_without_retry": 1,
    }
    assert {end: signals.increase(CALLS, {OUTCOME: end}) for end in ends} == ends
    assert signals.increase(CALLS) == 5


def test_an_exhausted_call_is_told_with_its_reason_and_without_the_errors_message(
    retry: Callable[..., Retry], clock: FakeClock, signals: Signals
) -> None:
    with pytest.raises(ConnectionError):
        retry().call(Dependency(clock, *[ConnectionError("secret")] * 3))
    (event,) = signals.events(semconv.RETRY_EXHAUSTED_EVENT.name)
    assert event.attributes == {
        semconv.POLICY_NAME.key: "api",
        REASON: "attempts",
        semconv.RETRY_ATTEMPTS.key: 3,
        semconv.RETRY_ELAPSED.key: 3.0,
        semconv.ERROR_TYPE.key: "ConnectionError",
    }
    assert "secret" not in repr([signals.events(), signals.spans(), signals.points()])


def test_an_error_that_is_not_retryable_is_no_event_at_the_first_attempt_and_one_after_a_retry(
    retry: Callable[..., Retry], clock: FakeClock, signals: Signals
) -> None:
    with pytest.raises(TypeError):
        retry().call(Dependency(clock, TypeError()))
    assert signals.events(semconv.RETRY_EXHAUSTED_EVENT.name) == []
    with pytest.raises(TypeError):
        retry().call(Dependency(clock, ConnectionError(), TypeError()))
    (event,) = signals.events(semconv.RETRY_EXHAUSTED_EVENT.name)
    assert event.attributes[REASON] == "not_retryable"


def test_attempts_and_waits_are_recorded(retry: Callable[..., Retry], clock: FakeClock, signals: Signals) -> None:
    retry(name="recorded").call(Dependency(clock, *errors(2)))
    where = {semconv.POLICY_NAME.key: "recorded"}
    (attempts,) = [
        p for p in signals.points(semconv.RETRY_ATTEMPTS_METRIC.name) if where.items() <= p.attributes.items()
    ]
    (waits,) = [p for p in signals.points(semconv.RETRY_BACKOFF_METRIC.name) if where.items() <= p.attributes.items()]
    assert (attempts.value, attempts.sum) == (1, 3)
    assert (waits.value, waits.sum) == (2, 3.0)


def test_a_recovered_call_is_one_span_with_its_waits_and_later_attempts_below(
    retry: Callable[..., Retry], clock: FakeClock, signals: Signals
) -> None:
    retry().call(Dependency(clock, *errors(2)))
    (guard,) = signals.spans("guard api")
    children = [span for span in signals.spans() if span.parent_id == guard.span_id]
    assert [(span.name, span.status) for span in children] == [
        ("backoff api", "unset"),
        ("attempt api", "error"),
        ("backoff api", "unset"),
        ("attempt api", "unset"),
    ]
    assert (guard.status, guard.attributes[semconv.RETRY_ATTEMPTS.key]) == ("unset", 3)


def test_a_call_that_failed_marks_its_span(retry: Callable[..., Retry], clock: FakeClock, signals: Signals) -> None:
    with pytest.raises(ConnectionError):
        retry().call(Dependency(clock, *errors(3)))
    (guard,) = signals.spans("guard api")
    assert (guard.status, guard.attributes[REASON], guard.attributes[semconv.OUTCOME.key]) == (
        "error",
        "attempts",
        "failure",
    )


def test_a_breaker_below_shares_the_span_of_each_attempt(
    retry: Callable[..., Retry], clock: FakeClock, signals: Signals
) -> None:
    breaker = CircuitBreaker(name="api", clock=clock)
    retry()(breaker(Dependency(clock, *errors(1))))()
    assert [span.name for span in signals.spans()] == ["backoff api", "attempt api", "guard api"]


def test_below_another_guard_the_span_of_an_attempt_is_current_only_while_it_runs(
    retry: Callable[..., Retry], clock: FakeClock, signals: Signals
) -> None:
    dependency = Dependency(clock, *errors(1))

    def work() -> tuple[Any, Any]:
        before = trace.get_current_span()
        retry().call(dependency)
        return before, trace.get_current_span()

    before, after = CircuitBreaker(name="outer", clock=clock).call(work)
    assert after is before


def test_a_retry_that_joins_the_span_of_another_guard_gives_it_back(
    retry: Callable[..., Retry], clock: FakeClock, signals: Signals
) -> None:
    seen: list[Any] = []
    dependency = Dependency(clock, *errors(1))
    guarded = retry()(dependency)

    @functools.wraps(guarded)
    def between() -> None:
        seen.append(trace.get_current_span())
        guarded()
        seen.append(trace.get_current_span())

    CircuitBreaker(name="outer", clock=clock)(between)()
    assert [span.name for span in signals.spans() if span.name.startswith("guard")] == ["guard outer"]
    assert seen[0] is seen[1]


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("max_attempts", 0),
        ("max_attempts", 1.5),
        ("max_attempts", True),
        ("base_delay", -1),
        ("base_delay", float("nan")),
        ("max_delay", float("inf")),
        ("multiplier", 0.5),
        ("jitter", "some"),
        ("timeout", 0),
        ("timeout", float("nan")),
        ("retry_on", "OSError"),
        ("retry_on", ()),
        ("retry_on", (OSError, "x")),
        ("retry_on", int),
        ("retry_result", True),
        ("max_retry_after", -1),
        ("budget", 0.2),
        ("tries", 3),
    ],
)
def test_a_wrong_setting_is_refused_where_it_is_written(setting: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        with_retry(**{setting: value})


def test_contradictions_are_refused_all_in_one_message() -> None:
    with pytest.raises(ConfigurationError) as caught:
        RetryConfig(max_attempts=None, base_delay=2, max_delay=1)
    assert len(caught.value.problems) == 2


def test_a_generator_function_is_refused() -> None:
    def numbers() -> Any:
        yield 1

    with pytest.raises(ConfigurationError, match="generator"):
        with_retry(numbers)


def test_the_settings_survive_pickling() -> None:
    budget = retry_budget("pickled", ratio=0.5)
    config = RetryConfig(max_attempts=7, retry_on=(OSError,), budget=budget)
    copy = pickle.loads(pickle.dumps(config))
    assert copy == config
    assert copy.budget is budget
    error = pickle.loads(pickle.dumps(DeadlineExceededError("too late")))
    assert (type(error), str(error)) == (DeadlineExceededError, "too late")


def test_a_budget_on_another_clock_is_refused(clock: FakeClock) -> None:
    with pytest.raises(ConfigurationError, match="clock"):
        Retry(budget=RetryBudget("system", clock=SYSTEM_CLOCK), clock=clock)


def test_a_coroutine_function_is_not_called_without_being_awaited(retry: Callable[..., Retry]) -> None:
    async def fetch() -> None: ...

    with pytest.raises(TypeError, match="call_async"):
        retry().call(fetch)  # type: ignore[unused-coroutine]


# --- with_retry ------------------------------------------------------------------------------------------------------


def test_the_decorator_works_with_and_without_parentheses(signals: Signals) -> None:
    @with_retry
    def bare() -> int:
        return 1

    @with_retry()
    def empty() -> int:
        return 2

    @with_retry(RetryConfig(max_attempts=2), name="named", base_delay=0.0)
    def full() -> int:
        return 3

    assert [bare(), empty(), full()] == [1, 2, 3]
    assert signals.increase(CALLS, {semconv.POLICY_NAME.key: "named"}) == 1
    assert signals.increase(CALLS, {semconv.POLICY_NAME.key: f"{__name__}.{bare.__qualname__}"}) == 1


# --- blocks ----------------------------------------------------------------------------------------------------------


def test_a_block_is_retried_until_it_succeeds(retry: Callable[..., Retry], clock: FakeClock, signals: Signals) -> None:
    dependency = Dependency(clock, *errors(2))
    answers = []
    for attempt in retry():
        with attempt:
            answers.append((attempt.number, dependency()))
    assert answers == [(3, "answer")]
    assert signals.increase(CALLS, {OUTCOME: "success_with_retry"}) == 1


def test_a_block_may_be_left_by_return(retry: Callable[..., Retry], clock: FakeClock, signals: Signals) -> None:
    def ask() -> str | None:
        for attempt in retry():
            with attempt:
                return Dependency(clock)()
        return None

    assert ask() == "answer"
    assert signals.increase(CALLS, {OUTCOME: "success_without_retry"}) == 1
    assert [span.name for span in signals.spans()] == ["guard api"]


def test_the_last_error_of_a_block_is_raised(retry: Callable[..., Retry], clock: FakeClock) -> None:
    dependency = Dependency(clock, *errors(5))

    def ask() -> None:
        for attempt in retry():
            with attempt:
                dependency()

    with pytest.raises(ConnectionError, match="2"):
        ask()
    assert len(dependency.asked) == 3
