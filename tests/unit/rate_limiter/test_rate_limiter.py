"""The token bucket limiter: decisions, bad input, the decorator, the manager."""

from __future__ import annotations

import contextlib
import pickle
from typing import Any

import pytest

from spanguard import semconv
from spanguard.errors import ConfigurationError
from spanguard.rate_limiter import (
    RateLimitExceededError,
    RateLimitManager,
    RateLimitStatus,
    SlidingWindowLimiter,
    TokenBucketLimiter,
)
from spanguard.testing import FakeClock, Signals
from unit.rate_limiter.callers import drain

# --- decisions -----------------------------------------------------------------------------------------------------


def test_a_full_bucket_gives_its_burst_at_once_and_no_more(limiter: TokenBucketLimiter) -> None:
    assert [limiter.acquire().allowed for _ in range(4)] == [True, True, True, False]


def test_a_status_says_what_is_left_and_when_to_come_back(limiter: TokenBucketLimiter) -> None:
    assert limiter.acquire(2) == RateLimitStatus(True, 1, 0.0, 1.0, 3)
    assert limiter.acquire(2) == RateLimitStatus(False, 1, 0.5, 1.0, 3)


def test_a_status_is_true_only_if_the_request_was_admitted(limiter: TokenBucketLimiter) -> None:
    assert bool(limiter.acquire(3)) is True
    assert bool(limiter.acquire()) is False


def test_a_request_is_admitted_to_the_tick_when_its_retry_after_has_passed(clock: FakeClock) -> None:
    limiter = TokenBucketLimiter(1, 3, name="unit", clock=clock)
    drain(limiter)
    retry_after = limiter.acquire().retry_after
    clock.advance(retry_after - 2**-30)
    assert not limiter.acquire()
    clock.advance(limiter.acquire().retry_after)
    assert limiter.acquire()


def test_a_quiet_time_earns_no_more_than_the_burst(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    clock.advance(1_000_000)
    assert [limiter.acquire().allowed for _ in range(4)] == [True, True, True, False]


def test_each_key_has_a_bucket_of_its_own(limiter: TokenBucketLimiter) -> None:
    drain(limiter, key="anna")
    assert not limiter.acquire(key="anna")
    assert limiter.acquire(key="ben").remaining == 2


def test_a_jump_of_the_wall_clock_changes_nothing(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter)
    clock.jump_wall_clock(3600)
    assert not limiter.acquire()
    clock.jump_wall_clock(-7200)
    clock.advance(0.5)
    assert limiter.acquire()


def test_idle_keys_are_forgotten_while_new_ones_come(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    for number in range(10_000):
        limiter.acquire(key=f"key {number}")
        clock.advance(0.1)
    assert len(vars(limiter._desk)["engine"]) < 100


def test_keys_in_use_are_never_forgotten(limiter: TokenBucketLimiter, clock: FakeClock) -> None:
    drain(limiter, key="busy")
    for number in range(1000):
        limiter.acquire(key=f"key {number}")
    assert not limiter.acquire(key="busy")


def test_eighty_rates_of_one_tenth_make_exactly_one_token_in_ten_seconds(clock: FakeClock) -> None:
    limiter = TokenBucketLimiter(0.1, 1, name="slow", clock=clock)
    limiter.acquire()
    clock.advance(10)
    assert limiter.acquire()


# --- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), 1e300, True, "3", None])
def test_a_rate_out_of_range_is_refused(rate: Any) -> None:
    with pytest.raises(ConfigurationError, match="limiter 'bad': rate is"):
        TokenBucketLimiter(rate, 1, name="bad")


@pytest.mark.parametrize("burst", [0, -1, 1.5, float("nan"), True, "3", None, 10**12])
def test_a_burst_out_of_range_is_refused(burst: Any) -> None:
    with pytest.raises(ConfigurationError, match="limiter 'bad': burst is"):
        TokenBucketLimiter(1, burst, name="bad")


@pytest.mark.parametrize("tokens", [0, -1, 4, 1.0, True, "1"])
def test_tokens_that_can_never_be_given_are_an_error_at_once(limiter: TokenBucketLimiter, tokens: Any) -> None:
    with pytest.raises(ConfigurationError, match="from 1 to 3 at once"):
        limiter.acquire(tokens, wait=True)


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_timeout_out_of_range_is_refused(limiter: TokenBucketLimiter, timeout: float) -> None:
    with pytest.raises(ConfigurationError, match="timeout is"):
        limiter.acquire(wait=True, timeout=timeout)


def test_a_timeout_without_a_wait_is_refused(limiter: TokenBucketLimiter) -> None:
    with pytest.raises(ConfigurationError, match="wait=True"):
        limiter.acquire(timeout=1)


# --- decorator -----------------------------------------------------------------------------------------------------


def test_a_decorated_function_runs_only_with_a_permit(limiter: TokenBucketLimiter) -> None:
    calls: list[int] = []

    @limiter
    def call(number: int) -> int:
        calls.append(number)
        return number

    assert [call(1), call(2), call(3)] == [1, 2, 3]
    with pytest.raises(RateLimitExceededError, match=r"'unit' has no permit; retry in 0.5 s") as caught:
        call(4)
    assert (calls, caught.value.status.retry_after) == ([1, 2, 3], 0.5)
    assert isinstance(caught.value, TimeoutError)


async def test_a_decorated_coroutine_function_runs_only_with_a_permit(limiter: TokenBucketLimiter) -> None:
    @limiter
    async def call() -> str:
        return "ran"

    assert [await call() for _ in range(3)] == ["ran"] * 3
    with pytest.raises(RateLimitExceededError):
        await call()


@pytest.mark.parametrize(
    ("permits", "raises", "outcome", "status"),
    [(1, None, "success", "unset"), (1, KeyError, "failure", "error"), (0, None, "rejected", "error")],
)
def test_a_decorated_call_is_one_span_with_its_outcome(
    clock: FakeClock, signals: Signals, permits: int, raises: type[Exception] | None, outcome: str, status: str
) -> None:
    limiter = TokenBucketLimiter(1, 1, name="spanned", clock=clock)
    if not permits:
        limiter.acquire()

    @limiter
    def call() -> None:
        if raises is not None:
            raise raises

    with contextlib.suppress(KeyError, RateLimitExceededError):
        call()
    (span,) = signals.spans()
    assert (span.name, span.status, span.attributes[semconv.OUTCOME.key]) == ("guard spanned", status, outcome)


def test_the_error_survives_pickling(limiter: TokenBucketLimiter) -> None:
    error = RateLimitExceededError("unit", limiter.acquire(3))
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.name, copy.status) == (str(error), "unit", error.status)


# --- manager -------------------------------------------------------------------------------------------------------


def test_a_configured_limiter_is_found_by_its_name(clock: FakeClock) -> None:
    manager = RateLimitManager(clock=clock)
    made = manager.configure("twitter_api", 0.5, 5)
    assert manager.get_limiter("twitter_api") is made
    assert manager.configure("twitter_api", 0.5, 5) is made
    assert manager.all() == {"twitter_api": made}


def test_a_name_cannot_stand_for_other_numbers() -> None:
    manager = RateLimitManager()
    manager.configure("api", 1, 5)
    with pytest.raises(ConfigurationError, match=r"rate=1, burst=5.*rate 2 and burst 5"):
        manager.configure("api", 2, 5)


def test_a_name_gets_other_numbers_only_if_that_is_asked_for(clock: FakeClock) -> None:
    manager = RateLimitManager(clock=clock)
    limiter = manager.configure("api", 1, 5)
    limiter.acquire(4)
    assert manager.reconfigure("api", 2, 10) is limiter
    assert (limiter.rate, limiter.burst, limiter.peek().remaining) == (2, 10, 6)
    assert manager.configure("api", 2, 10) is limiter


def test_reconfigure_makes_what_is_not_there(clock: FakeClock) -> None:
    manager = RateLimitManager(clock=clock)
    made = manager.reconfigure("api", 2, 10)
    assert manager.get_limiter("api") is made


def test_a_limiter_of_any_kind_is_found_by_its_name(clock: FakeClock) -> None:
    manager = RateLimitManager(clock=clock)
    window = manager.add(SlidingWindowLimiter(3, 1, name="window", clock=clock))
    assert manager.add(window) is manager.get_limiter("window") is window
    assert manager.stats()["window"].acquired == 0


def test_a_name_stands_for_one_limiter(clock: FakeClock) -> None:
    manager = RateLimitManager(clock=clock)
    manager.add(SlidingWindowLimiter(3, 1, name="api", clock=clock))
    with pytest.raises(ConfigurationError, match=r"SlidingWindowLimiter\(limit=3.*SlidingWindowLimiter\(limit=4"):
        manager.add(SlidingWindowLimiter(4, 1, name="api", clock=clock))
    with pytest.raises(ConfigurationError, match="cannot have rate 1 and burst 5"):
        manager.configure("api", 1, 5)
    with pytest.raises(ConfigurationError, match="cannot become a token bucket"):
        manager.reconfigure("api", 1, 5)


def test_an_unknown_name_is_answered_with_those_that_come_close() -> None:
    manager = RateLimitManager()
    with pytest.raises(ConfigurationError, match="none is configured yet"):
        manager.get_limiter("twitter_api")
    manager.configure("twitter_api", 1, 5)
    with pytest.raises(ConfigurationError, match="no rate limiter is named 'twiter_api': did you mean 'twitter_api'"):
        manager.get_limiter("twiter_api")


def test_the_manager_tells_what_every_limiter_did(clock: FakeClock) -> None:
    manager = RateLimitManager(clock=clock)
    drain(manager.configure("a", 1, 2))
    stats = manager.stats()["a"]
    assert (stats.acquired, stats.rejected) == (2, 1)
    assert stats.block_rate == pytest.approx(1 / 3)
    manager.reset()
    assert manager.all() == {}
