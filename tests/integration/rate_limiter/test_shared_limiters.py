"""Limiters on a storage that several of them share: a real Redis server, and memory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import limits.aio.storage
import pytest
from limits.storage import MemoryStorage, storage_from_string

from integration.redis_server import RedisServer, awaited
from spanguard import semconv
from spanguard.errors import BlockingWaitError, ConfigurationError, ResourceUnavailableError
from spanguard.guard import Guard
from spanguard.rate_limiter import (
    LeakyBucketLimiter,
    RateLimiter,
    RateLimitExceededError,
    RateLimitStatus,
    SlidingWindowLimiter,
    TokenBucketLimiter,
)
from spanguard.testing import Signals

HOUR = 3600.0

Make = Callable[..., TokenBucketLimiter]


@pytest.fixture
def shared(redis_server: RedisServer, request: pytest.FixtureRequest) -> Make:
    """Limiters of one name at one server; no permit comes back while a test runs, unless it sets a rate."""

    def make(burst: int = 3, rate: float | None = None, **options: Any) -> TokenBucketLimiter:
        options = {"storage": redis_server.url, "storage_timeout": 5, "name": request.node.name, **options}
        return TokenBucketLimiter(burst / HOUR if rate is None else rate, burst, **options)

    return make


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - polls a condition with a deadline
            await asyncio.sleep(0.001)


def wait_in_thread(limiter: RateLimiter, answers: list[RateLimitStatus], **options: Any) -> threading.Thread:
    thread = threading.Thread(target=lambda: answers.append(limiter.acquire(wait=True, **options)), daemon=True)
    thread.start()
    return thread


# --- who shares ----------------------------------------------------------------------------------------------------


def test_limiters_of_one_name_share_their_permits(shared: Make) -> None:
    one, other = shared(), shared()
    assert [one.acquire().allowed, other.acquire(2).allowed, one.acquire().allowed] == [True, True, False]
    assert one.peek().remaining == 0
    other.reset()
    assert one.acquire(3)


def test_limiters_of_other_names_share_nothing(shared: Make) -> None:
    assert shared(name="a").acquire(3)
    assert shared(name="b").acquire(3)


async def test_threads_and_tasks_share_one_limiter(shared: Make) -> None:
    limiter = shared()
    assert (await limiter.acquire_async(2)).remaining == 1
    assert (await asyncio.to_thread(limiter.acquire, 2)).allowed is False
    assert (await limiter.peek_async()).remaining == 1
    await limiter.reset_async()
    assert (await limiter.acquire_async(3)).allowed
    assert (limiter.stats().acquired, limiter.stats().rejected) == (2, 1)
    await limiter.aclose()


def test_one_limiter_serves_one_event_loop_after_the_other(shared: Make) -> None:
    limiter = shared()

    async def ask() -> bool:
        status = await limiter.acquire_async(2)
        await limiter.aclose()
        return status.allowed

    assert [asyncio.run(ask()), asyncio.run(ask())] == [True, False]


def test_several_limits_are_kept_together(redis_server: RedisServer) -> None:
    limiter = RateLimiter("2/hour; 3/day", storage=redis_server.url, name="together", storage_timeout=5)
    assert [limiter.acquire(2).allowed, limiter.acquire().allowed] == [True, False]
    assert limiter.acquire().limit == 2


async def test_a_memory_storage_serves_threads_and_tasks() -> None:
    storage = MemoryStorage()
    one = SlidingWindowLimiter(2, HOUR, name="memory", storage=storage)
    other = SlidingWindowLimiter(2, HOUR, name="memory", storage=storage)
    assert [one.acquire().allowed, (await other.acquire_async()).allowed, one.acquire().allowed] == [True, True, False]


async def test_an_asynchronous_memory_storage_serves_tasks() -> None:
    limiter = SlidingWindowLimiter(2, HOUR, name="memory", storage=limits.aio.storage.MemoryStorage())
    assert [(await limiter.acquire_async()).allowed for _ in range(3)] == [True, True, False]


def test_the_url_of_memory_is_this_process_alone() -> None:
    one, other = (TokenBucketLimiter(1, 1, name="alone", storage="memory://") for _ in range(2))
    assert one.acquire()
    assert other.acquire()


# --- the line ------------------------------------------------------------------------------------------------------


async def test_those_who_wait_are_served_in_the_order_in_which_they_came(shared: Make) -> None:
    limiter = shared(1, rate=20)
    await limiter.acquire_async()
    order: list[int] = []

    async def wait(number: int) -> None:
        await limiter.acquire_async(wait=True)
        order.append(number)

    def wait_as_thread() -> None:
        limiter.acquire(wait=True)
        order.append(2)

    tasks = [asyncio.create_task(wait(0))]
    await until(lambda: limiter.stats().waiting == 1)
    tasks.append(asyncio.create_task(wait(1)))
    await until(lambda: limiter.stats().waiting == 2)
    thread = threading.Thread(target=wait_as_thread)
    thread.start()
    await until(lambda: limiter.stats().waiting == 3)
    tasks.append(asyncio.create_task(wait(3)))
    await asyncio.gather(*tasks)
    await asyncio.to_thread(thread.join, 20)
    assert order == [0, 1, 2, 3]
    stats = limiter.stats()
    assert (stats.acquired, stats.waited, stats.waiting) == (5, 4, 0)
    assert stats.time_in_queue.longest > 0.05
    await limiter.aclose()


def test_nobody_overtakes_those_who_wait(shared: Make) -> None:
    limiter = shared(3)
    limiter.acquire(2)
    answers: list[RateLimitStatus] = []
    thread = wait_in_thread(limiter, answers, tokens=3)
    awaited(lambda: limiter.stats().waiting == 1)
    refused = limiter.acquire()
    assert (refused.allowed, refused.remaining) == (False, 1)
    assert refused.retry_after > 0
    limiter.reset()
    thread.join(20)
    assert answers[0].allowed


def test_who_would_wait_too_long_is_told_at_once(shared: Make) -> None:
    limiter = shared()
    limiter.acquire(3)
    status = limiter.acquire(wait=True, timeout=60)
    assert not status.allowed
    assert 60 < status.retry_after <= 1200
    assert limiter.stats().timed_out == 1


def test_who_is_behind_others_waits_no_longer_than_its_timeout(shared: Make) -> None:
    limiter = shared()
    limiter.acquire(3)
    answers: list[RateLimitStatus] = []
    first = wait_in_thread(limiter, answers)
    awaited(lambda: limiter.stats().waiting == 1)
    assert not limiter.acquire(wait=True, timeout=0.05)
    assert limiter.stats().timed_out == 1
    limiter.reset()
    first.join(20)
    assert answers[0].allowed


def test_a_full_line_turns_away_at_once(shared: Make) -> None:
    limiter = shared(max_waiters=1)
    limiter.acquire(3)
    answers: list[RateLimitStatus] = []
    first = wait_in_thread(limiter, answers)
    awaited(lambda: limiter.stats().waiting == 1)
    assert not limiter.acquire(wait=True)
    assert not limiter.acquire(wait=True, timeout=HOUR)
    assert (limiter.stats().line_full, limiter.stats().rejected) == (2, 2)
    limiter.reset()
    first.join(20)
    assert answers[0].allowed


def test_a_leaky_bucket_lets_requests_out_evenly(redis_server: RedisServer) -> None:
    queue = LeakyBucketLimiter(20, 3, name="queue", storage=redis_server.url, storage_timeout=5)
    assert queue.acquire()
    assert not queue.acquire()  # it would have to wait
    assert not queue.acquire(wait=True, timeout=0.001)
    assert queue.acquire(wait=True, timeout=5)
    assert queue.acquire(wait=True)
    stats = queue.stats()
    assert (stats.acquired, stats.rejected, stats.timed_out, stats.waited) == (3, 1, 1, 2)
    queue.reset()
    answers: list[RateLimitStatus] = []
    threads = [wait_in_thread(queue, answers) for _ in range(6)]
    for thread in threads:
        thread.join(20)
    assert sum(answer.allowed for answer in answers) >= 3
    assert queue.stats().line_full == sum(not answer.allowed for answer in answers)


# --- cancelled -----------------------------------------------------------------------------------------------------


async def test_those_behind_a_cancelled_wait_move_up(shared: Make) -> None:
    limiter = shared()
    await limiter.acquire_async(2)
    first = asyncio.create_task(limiter.acquire_async(3, wait=True))
    await until(lambda: limiter.stats().waiting == 1)
    second = asyncio.create_task(limiter.acquire_async(wait=True))
    await until(lambda: limiter.stats().waiting == 2)
    first.cancel()
    assert (await second).allowed
    assert (limiter.stats().cancelled, limiter.stats().waiting) == (1, 0)
    await limiter.aclose()


async def test_a_permit_that_comes_too_late_goes_to_the_next_in_line(own_redis: RedisServer) -> None:
    limiter = TokenBucketLimiter(1 / HOUR, 1, name="late", storage=own_redis.url, storage_timeout=20)
    own_redis.pause()
    first = asyncio.create_task(limiter.acquire_async(wait=True))
    await asyncio.sleep(0)
    second = asyncio.create_task(limiter.acquire_async(wait=True))
    await until(lambda: limiter.stats().waiting == 1)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    own_redis.resume()
    async with asyncio.timeout(20):
        assert (await second).allowed
    assert not await limiter.acquire_async()
    await limiter.aclose()


async def test_a_task_whose_loop_died_holds_up_nobody(shared: Make) -> None:
    limiter = shared()
    await limiter.acquire_async(3)

    def die() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(limiter.acquire_async(wait=True))
        while not limiter.stats().waiting:
            loop.run_until_complete(asyncio.sleep(0.001))
        loop.run_until_complete(limiter.aclose())
        loop.close()
        graveyard.append(task)

    graveyard: list[Any] = []
    first = asyncio.create_task(limiter.acquire_async(wait=True))
    await until(lambda: limiter.stats().waiting == 1)
    thread = threading.Thread(target=die)
    thread.start()
    await until(lambda: limiter.stats().waiting == 2)
    await asyncio.to_thread(thread.join, 20)
    last = asyncio.create_task(limiter.acquire_async(wait=True))
    await until(lambda: limiter.stats().waiting == 3)
    await limiter.reset_async()
    assert (await first).allowed
    assert (await last).allowed
    await limiter.aclose()


# --- fork ----------------------------------------------------------------------------------------------------------


def test_a_forked_child_shares_on_but_not_the_line(
    shared: Make, in_child: Callable[[Callable[[], object]], str]
) -> None:
    limiter = shared()
    limiter.acquire(2)
    answers: list[RateLimitStatus] = []
    thread = wait_in_thread(limiter, answers, tokens=3)
    awaited(lambda: limiter.stats().waiting == 1)
    ran = in_child(lambda: (limiter.stats().waiting, limiter.acquire().allowed, limiter.stats().acquired))
    assert ran == "(0, True, 1)"
    assert limiter.peek().remaining == 0
    limiter.reset()
    thread.join(20)
    assert answers[0].allowed


# --- event loops ---------------------------------------------------------------------------------------------------


async def test_a_decision_at_a_server_is_not_taken_in_the_thread_of_a_loop(shared: Make) -> None:
    with pytest.raises(BlockingWaitError, match="end in _async"):
        shared().acquire()


async def test_a_storage_for_threads_does_not_block_a_loop(redis_server: RedisServer) -> None:
    storage: Any = storage_from_string(redis_server.url)
    with pytest.raises(ConfigurationError, match="would block the event loop"):
        await TokenBucketLimiter(1, 1, name="sync", storage=storage).acquire_async()


async def test_a_storage_of_an_event_loop_is_none_for_threads(redis_server: RedisServer) -> None:
    storage: Any = storage_from_string(f"async+{redis_server.url}", implementation="redispy")
    limiter = TokenBucketLimiter(1 / HOUR, 1, name="async", storage=storage)
    with pytest.raises(ConfigurationError, match="is awaited"):
        limiter.acquire()
    assert (await limiter.acquire_async()).allowed
    await storage.bridge.get_connection().aclose()


# --- other numbers -------------------------------------------------------------------------------------------------


def test_a_change_does_not_forgive_what_was_used(shared: Make) -> None:
    limiter = shared(3)
    limiter.acquire(2)
    limiter.reconfigure(rate=5 / HOUR, burst=5)
    assert limiter.peek().remaining == 3
    assert limiter.acquire(3)
    assert not limiter.acquire()


def test_a_change_does_not_forgive_what_was_used_of_the_local_share() -> None:
    limiter = TokenBucketLimiter(4 / HOUR, 4, storage="redis://127.0.0.1:1", fallback_share=0.5, name="nobody there")
    assert [limiter.acquire().allowed for _ in range(3)] == [True, True, False]
    limiter.reconfigure(rate=6 / HOUR, burst=6)
    assert [limiter.acquire().allowed for _ in range(2)] == [True, False]


def test_a_change_on_shared_memory_is_refused_as_it_would_forgive() -> None:
    limiter = TokenBucketLimiter(1, 1, name="memory", storage=MemoryStorage())
    with pytest.raises(ConfigurationError, match="would forgive"):
        limiter.reconfigure(rate=2)


# --- a lost server -------------------------------------------------------------------------------------------------


def test_a_url_at_which_nobody_answers_is_an_error_at_once() -> None:
    with pytest.raises(ResourceUnavailableError, match="did not decide"):
        TokenBucketLimiter(1, 1, name="nobody", storage="redis://127.0.0.1:1")


def test_a_lost_server_is_an_error_where_there_is_no_local_share(own_redis: RedisServer) -> None:
    limiter = TokenBucketLimiter(1, 1, name="lost", storage=own_redis.url)
    own_redis.kill()
    with pytest.raises(ResourceUnavailableError, match="fallback_share"):
        limiter.acquire()
    with pytest.raises(ResourceUnavailableError):
        limiter.acquire(wait=True)
    assert limiter.stats().waiting == 0
    assert not vars(limiter._desk)["_lines"]


def test_a_local_share_goes_on_without_the_server(own_redis: RedisServer, signals: Signals) -> None:
    limiter = TokenBucketLimiter(10 / HOUR, 10, name="share", storage=own_redis.url, fallback_share=0.2)
    assert limiter.acquire()
    own_redis.kill()
    answers = [limiter.acquire() for _ in range(5)]
    assert [answer.allowed for answer in answers] == [True, True, False, False, False]
    assert all(answer.fallback for answer in answers)
    stats = limiter.stats()
    assert (stats.acquired, stats.fallback, stats.rejected) == (3, 2, 3)
    where = {semconv.POLICY_NAME.key: "share", semconv.LIMITER_RESULT.key: "fallback"}
    assert signals.increase(semconv.LIMITER_REQUESTS_METRIC.name, where) == 2


async def test_a_local_share_goes_on_in_an_event_loop(own_redis: RedisServer) -> None:
    limiter = TokenBucketLimiter(10 / HOUR, 10, name="share", storage=own_redis.url, fallback_share=0.1)
    own_redis.kill()
    assert [(await limiter.acquire_async()).allowed for _ in range(2)] == [True, False]
    await limiter.aclose()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"storage": "nonsense"}, "begins with 'nonsense'"),
        ({"storage": "memcached://localhost"}, "begins with 'memcached'"),
        ({"storage": "redis://:secret@[::"}, "cannot be used"),
        ({"storage": MemoryStorage(), "fallback_share": 0.5}, "needs the storage's URL"),
        ({"fallback_share": 0.5}, "for a storage that can be lost"),
        ({"storage": "redis://127.0.0.1:1", "fallback_share": 0}, "fallback_share is 0"),
        ({"storage": "redis://127.0.0.1:1", "storage_timeout": 0}, "timeout is 0"),
    ],
)
def test_a_storage_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        TokenBucketLimiter(1, 1, name="bad", **options)
    assert "secret" not in str(caught.value)


# --- in a guard ----------------------------------------------------------------------------------------------------


def test_a_guard_asks_a_shared_limiter(shared: Make) -> None:
    guard = Guard("shared guard", rate_limiter=shared(burst=1))
    assert guard.call(int) == 0
    with pytest.raises(RateLimitExceededError):
        guard.call(int)


async def test_a_guard_awaits_a_shared_limiter(shared: Make) -> None:
    limiter = shared(burst=1)
    guard = Guard("shared guard", rate_limiter=limiter)
    await guard.call_async(asyncio.sleep, 0)
    with pytest.raises(RateLimitExceededError):
        await guard.call_async(asyncio.sleep, 0)
    await limiter.aclose()
