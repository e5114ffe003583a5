"""Rate limiters of a profile: each strategy, what contradicts itself, and other limits while calls run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from spanguard.config_manager import LimiterSettings, Profile
from spanguard.errors import ConfigurationError
from spanguard.guard import Guard, guards
from spanguard.rate_limiter import (
    LeakyBucketLimiter,
    RateLimiter,
    RateLimitExceededError,
    SlidingWindowLimiter,
    TokenBucketLimiter,
    rate_limit_manager,
)

Load = Callable[[str], None]

TABLES = {
    "token_bucket": ("rate = 0.001\nburst = 4", TokenBucketLimiter, "burst = 4", "burst = 6"),
    "leaky_bucket": ("rate = 0.001\ncapacity = 4", LeakyBucketLimiter, "capacity = 4", "capacity = 6"),
    "sliding_window_log": ("limit = 4\nwindow = 3600", SlidingWindowLimiter, "limit = 4", "limit = 6"),
    "sliding_window_estimate": ("limit = 4\nwindow = 86400000", SlidingWindowLimiter, "limit = 4", "limit = 6"),
}
SEVERAL = 'limits = "4/day; 100/month"'


def table(strategy: str, numbers: str) -> str:
    return f'[rate_limiters.x]\nstrategy = "{strategy}"\n{numbers}\n'


def refused(load: Load, text: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        load(text)
    return str(raised.value)


def admitted(guarded: Guard, tries: int) -> int:
    done = 0
    for _ in range(tries):
        try:
            done += guarded.call(lambda: 1)
        except RateLimitExceededError:
            break
    return done


@pytest.mark.parametrize("strategy", TABLES)
def test_each_strategy_is_built_and_keeps_what_was_used_when_its_numbers_change(strategy: str, load: Load) -> None:
    numbers, kind, former, changed = TABLES[strategy]
    load(table(strategy, numbers))
    limiter = rate_limit_manager.get_limiter("x")
    assert type(limiter) is kind
    assert limiter.rules[0].strategy == strategy
    guarded = Guard("x")
    assert admitted(guarded, 20) == 4
    load(table(strategy, numbers.replace(former, changed)))
    assert rate_limit_manager.get_limiter("x") is limiter
    assert admitted(guarded, 20) == 2


def test_several_limits_are_kept_together_and_change_without_forgiving(load: Load) -> None:
    load(table("sliding_window_log", SEVERAL))
    guarded = Guard("x")
    assert admitted(guarded, 20) == 4
    load(table("sliding_window_log", SEVERAL.replace("4/", "6/")))
    assert admitted(guarded, 20) == 2
    assert [rule.limit for rule in rate_limit_manager.get_limiter("x").rules] == [6, 100]


def test_a_leaky_bucket_may_be_a_queue(load: Load) -> None:
    load(table("leaky_bucket_queue", "rate = 2\ncapacity = 3\nmax_waiters = 1"))
    assert repr(rate_limit_manager.get_limiter("x")) == (
        "LeakyBucketLimiter(rate=2, capacity=3, as_queue=True, name='x')"
    )


async def test_no_more_wait_than_the_profile_lets(load: Load) -> None:
    load(table("token_bucket", "rate = 0.001\nburst = 1\nmax_waiters = 0"))
    limiter = rate_limit_manager.get_limiter("x")
    assert await limiter.acquire_async()
    assert not await asyncio.wait_for(limiter.acquire_async(wait=True), 5)
    assert limiter.stats().line_full == 1


def test_all_that_contradicts_itself_is_in_one_message(load: Load) -> None:
    message = refused(
        load,
        '[rate_limiters.a]\nstrategy = "sliding_window_log"\nrate = 1\nlimit = 2\nfallback_share = 0.5\n'
        '[rate_limiters.b]\nlimits = "1/second"\nburst = 3\n'
        '[rate_limiters.c]\nstrategy = "bucket"\n[rate_limiters.d]\nrate = 1\nburst = 1\ncapacityy = 2\n',
    )
    for part in (
        "rate_limiters.a: window is missing; sliding_window_log takes limit and window; rate has no place here",
        "fallback_share has no meaning without storage",
        "rate_limiters.b: burst has no place here; token_bucket takes limits alone",
        "rate_limiters.c.strategy is 'bucket'",
        "rate_limiters.d.capacityy is not a known key. Did you mean 'capacity'?",
    ):
        assert part in message


def test_numbers_out_of_range_are_in_one_message(load: Load) -> None:
    message = refused(
        load,
        "[rate_limiters.a]\nrate = -1\nburst = 0\n[rate_limiters.b]\nlimits = '3 of 4'\n"
        "[rate_limiters.c]\nrate = 1\nburst = 1\nmax_waiters = -1\n",
    )
    for part in ("'a': rate is -1", "'a': burst is 0", "'b': limits are '3 of 4'", "'c': max_waiters is -1"):
        assert part in message


@pytest.mark.parametrize(
    ("former", "changed", "setting"),
    [
        (table("token_bucket", "rate = 1\nburst = 4"), table("leaky_bucket", "rate = 1\ncapacity = 4"), "strategy"),
        (table("token_bucket", "rate = 1\nburst = 4"), table("token_bucket", 'limits = "4/minute"'), "limits"),
        (table("token_bucket", SEVERAL), table("token_bucket", 'limits = "4/day"'), "limits: how many there are"),
        (table("token_bucket", SEVERAL), table("token_bucket", f"{SEVERAL}\nmax_waiters = 3"), "max_waiters"),
    ],
)
def test_what_cannot_change_live_is_refused_and_nothing_changes(
    former: str, changed: str, setting: str, load: Load
) -> None:
    load(former)
    limiter = rate_limit_manager.get_limiter("x")
    assert f"rate_limiters.x.{setting} cannot" in refused(load, changed)
    assert rate_limit_manager.get_limiter("x") is limiter


def test_a_storage_where_nobody_answers_is_told_at_the_start_and_keeps_its_password(load: Load) -> None:
    url = "redis://:hunter2@127.0.0.1:1/0"
    message = refused(load, table("token_bucket", f'rate = 1\nburst = 1\nstorage = "{url}"'))
    assert "limiter 'x': nobody answers at its storage" in message
    assert "hunter2" not in message
    assert "x" not in rate_limit_manager.all()


@pytest.mark.parametrize("url", ["ftp://:hunter2@host", "redis://:hunter2@host:port/0"])
def test_a_storage_that_cannot_be_used_is_told_without_its_password(url: str, load: Load) -> None:
    message = refused(load, table("token_bucket", f'rate = 1\nburst = 1\nstorage = "{url}"'))
    assert "limiter 'x': the storage's" in message
    assert "hunter2" not in message


def test_a_lost_storage_is_no_obstacle_with_a_local_share(load: Load) -> None:
    load(
        table(
            "token_bucket",
            'rate = 0.001\nburst = 4\nstorage = "redis://:hunter2@127.0.0.1:1/0"\nfallback_share = 0.5',
        )
    )
    assert admitted(Guard("x"), 20) == 2
    assert "hunter2" not in repr(rate_limit_manager.get_limiter("x"))


def test_a_storage_cannot_change_while_the_system_runs(load: Load) -> None:
    load(table("token_bucket", "rate = 1\nburst = 4"))
    message = refused(load, table("token_bucket", 'rate = 1\nburst = 4\nstorage = "redis://:hunter2@127.0.0.1:1/0"'))
    assert "rate_limiters.x.storage cannot change while the system runs" in message
    assert "hunter2" not in message


def test_the_settings_show_no_url() -> None:
    settings = LimiterSettings.model_validate({"rate": 1, "burst": 1, "storage": "redis://:hunter2@host"})
    assert "hunter2" not in repr(settings) + str(settings)


def test_a_limiter_of_the_code_with_the_same_limits_is_taken_over(load: Load) -> None:
    limiter = rate_limit_manager.add(RateLimiter("4/day", strategy="sliding_window_log", name="x"))
    load(table("sliding_window_log", "limit = 4\nwindow = 86400"))
    assert rate_limit_manager.get_limiter("x") is limiter


def test_a_limiter_of_the_code_under_another_strategy_is_refused(load: Load) -> None:
    rate_limit_manager.add(SlidingWindowLimiter(4, 3600, name="x"))
    assert "settle it in one place" in refused(load, table("sliding_window_estimate", "limit = 4\nwindow = 3600"))


@pytest.mark.parametrize("strategy", TABLES)
def test_under_load_no_change_forgives_or_forgets_a_permit(
    strategy: str, load: Load, profile: Callable[[str], Profile]
) -> None:
    numbers, _, former, _ = TABLES[strategy]
    setting = former.partition(" =")[0]
    numbers = numbers.replace("0.001", "0.000001")
    settings = [profile(table(strategy, numbers.replace(former, f"{setting} = {limit}"))) for limit in (300, 400, 500)]
    guards.reconfigure(settings[0])
    guarded = Guard("x")
    done, counts = threading.Event(), [0] * 4

    def call(number: int) -> None:
        while not done.is_set():
            counts[number] += admitted(guarded, 50)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(len(counts))]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            for each in settings:
                guards.reconfigure(each)
    finally:
        done.set()
        for thread in threads:
            thread.join(20)
    counts.append(admitted(guarded, 1000))
    assert sum(counts) == 500
