"""How long a retry waits, and for how long at most."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from email.message import Message
from typing import Any
from urllib.error import HTTPError

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanguard.error_handling import Retry, RetryConfig, deadline
from spanguard.errors import DeadlineExceededError
from spanguard.testing import FakeClock, Signals
from unit.retry.dependencies import CALLS, OUTCOME, REASON, Dependency, errors

# --- waits ---------------------------------------------------------------------------------------------------------


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


# --- deadlines -----------------------------------------------------------------------------------------------------


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
