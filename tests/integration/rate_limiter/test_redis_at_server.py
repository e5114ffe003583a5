"""What deciders do at a real server: round trips, expiry, a lost script, many processes, and a clock that is set."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any, cast

import pytest
import redis
from limits import parse
from limits.storage import RedisStorage, storage_from_string

from integration.rate_limiter.server_clock import ServerClock, read_clock_from_a_key
from integration.redis_server import RedisServer, awaited
from spanguard.errors import ConfigurationError, ResourceUnavailableError
from spanguard.rate_limiter.rules import Rule, Strategy, bucket, window
from spanguard.rate_limiter.storages import async_decider_at, decider_at
from spanguard.rate_limiter.storages.redis import RedisDecider
from spanguard.rate_limiter.strategies import (
    LeakyBucketQueueRateLimiter,
    LeakyBucketRateLimiter,
    SlidingWindowEstimateRateLimiter,
    SlidingWindowLogRateLimiter,
    TokenBucketRateLimiter,
)
from spanguard.rate_limiter.strategies.synchronous import DecidingRateLimiter

KINDS: list[Strategy] = [
    "token_bucket",
    "leaky_bucket",
    "leaky_bucket_queue",
    "sliding_window_log",
    "sliding_window_estimate",
]
STRATEGIES = [
    TokenBucketRateLimiter,
    LeakyBucketRateLimiter,
    LeakyBucketQueueRateLimiter,
    SlidingWindowLogRateLimiter,
    SlidingWindowEstimateRateLimiter,
]
HOUR = Fraction(3600)


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A plain client of an empty server."""
    with redis_server.client() as plain:
        plain.flushall()
        yield plain


@pytest.fixture
def storage(redis_server: RedisServer, client: redis.Redis) -> Iterator[RedisStorage]:
    made: Any = storage_from_string(redis_server.url)
    yield made
    made.storage.close()


def asked_of(client: redis.Redis, act: Callable[[], object]) -> list[str]:
    """Return the commands that came over the wire while `act` ran; what a script does inside does not come that way."""
    with client.monitor() as monitor:  # type: ignore[no-untyped-call] # as redis-py has it
        act()
        client.echo("the end")
        commands: list[str] = []
        for heard in monitor.listen():
            if heard["command"] == "ECHO the end":
                return commands
            if heard["client_type"] != "lua":
                commands.append(heard["command"].split()[0])
    raise AssertionError("the monitor ended")


@pytest.mark.parametrize("kind", KINDS)
def test_a_decision_is_one_round_trip_however_many_limits(
    client: redis.Redis, storage: RedisStorage, kind: Strategy
) -> None:
    decider = RedisDecider(storage, (Rule(kind, 2, Fraction(10)), Rule(kind, 3, HOUR)))
    decider.decide("key")  # the server learns the script
    assert asked_of(client, lambda: [decider.decide("key") for _ in range(3)]) == ["EVALSHA"] * 3


@pytest.mark.parametrize("made", STRATEGIES)
def test_the_strategies_of_limits_decide_there_too(storage: RedisStorage, made: type[DecidingRateLimiter]) -> None:
    item = parse("3 per hour")
    first, second = made(storage), made(storage)
    assert [first.hit(item, "key"), second.hit(item, "key", cost=2), first.hit(item, "key")] == [True, True, False]
    assert second.get_window_stats(item, "key").remaining == 0
    first.clear(item, "key")
    assert second.test(item, "key", cost=3)


def test_buckets_of_another_burst_are_apart(storage: RedisStorage) -> None:
    item = parse("3 per hour")
    assert TokenBucketRateLimiter(storage).hit(item, "key", cost=3)
    large = TokenBucketRateLimiter(storage, burst=5)
    assert [large.hit(item, "key", cost=5), large.hit(item, "key")] == [True, False]


def test_a_reset_of_the_storage_empties_them(storage: RedisStorage) -> None:
    decider = RedisDecider(storage, (Rule("token_bucket", 1, HOUR),))
    assert [decider.decide("key").allowed, decider.decide("key").allowed] == [True, False]
    storage.reset()
    assert decider.decide("key").allowed


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_goes_when_it_says_nothing_any_more(client: redis.Redis, storage: RedisStorage, kind: Strategy) -> None:
    decider = RedisDecider(storage, (Rule(kind, 5, Fraction(1, 4)),))
    decider.decide("key", 5)
    assert client.dbsize() == 1
    awaited(lambda: client.dbsize() == 0)


@pytest.mark.parametrize("kind", KINDS)
def test_no_permit_is_forgiven_or_lost_when_the_server_forgets_the_script(
    client: redis.Redis, storage: RedisStorage, kind: Strategy
) -> None:
    decider = RedisDecider(storage, (Rule(kind, 6, HOUR),))
    answers = []
    for _ in range(4):
        answers += [decider.decide("key").allowed, decider.decide("key").allowed]
        client.script_flush()
    assert answers == [True] * 6 + [False] * 2


def test_keys_that_end_a_hash_tag_too_early_are_told_apart_and_kept_in_one_slot(
    client: redis.Redis, storage: RedisStorage
) -> None:
    decider = RedisDecider(storage, (Rule("token_bucket", 1, HOUR), Rule("sliding_window_log", 1, HOUR)))
    keys = ["", "a", "a}b{c", "{a}", "}", "{", "%7D", "é", "\ud800", "x" * 1_000_000, "x" * 999_999]
    assert all(decider.decide(key).allowed for key in keys)
    assert not any(decider.decide(key).allowed for key in keys)
    names = cast(list[str], client.keys("*"))
    assert len(names) == 2 * len(keys)
    tags = [name[name.index("{") + 1 : name.index("}")] for name in names]
    assert sorted(tags) == sorted(tag for tag in set(tags) for _ in range(2))
    assert all(len(name) < 1000 for name in names)


# --- many at once --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_sixty_four_threads_get_exactly_the_limit(storage: RedisStorage, kind: Strategy) -> None:
    decider = RedisDecider(storage, (Rule(kind, 500, HOUR * 10_000),))
    with ThreadPoolExecutor(64) as pool:
        admitted = sum(pool.map(lambda _: decider.decide("key").allowed, range(1500)))
    assert admitted == 500


PROCESSES, AT_ONCE, A_SECOND, SECONDS = 8, 500, 200, 2


def work(url: str, barrier: Any, answers: Any) -> None:
    """Under each kind, ask as often as can be: for a limit that comes once, then for one that comes again and again."""
    for kind in KINDS:
        once = decider_at(url, (Rule(kind, AT_ONCE, HOUR * 10_000),), name="once", timeout=10)
        again = decider_at(url, (Rule(kind, A_SECOND, Fraction(1)),), name="again", timeout=10)
        again.peek("key")
        barrier.wait(60)
        got_once = sum(once.decide("key").allowed for _ in range(2 * AT_ONCE // PROCESSES))
        barrier.wait(60)
        begin, got_again = time.time(), 0
        while time.time() < begin + SECONDS:
            got_again += again.decide("key").allowed
        answers.put((kind, got_once, got_again, begin, time.time()))


@pytest.fixture(scope="module")
def eight_processes(redis_server: RedisServer) -> list[tuple[Strategy, int, int, float, float]]:
    """What eight processes were admitted."""
    spawn = multiprocessing.get_context("spawn")
    barrier, answers = spawn.Barrier(PROCESSES), spawn.Queue()
    workers = [spawn.Process(target=work, args=(redis_server.url, barrier, answers)) for _ in range(PROCESSES)]
    for worker in workers:
        worker.start()
    said = [answers.get(timeout=100) for _ in range(PROCESSES * len(KINDS))]
    for worker in workers:
        worker.join(30)
    return said


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_eight_processes_get_exactly_the_limit(
    eight_processes: list[tuple[Strategy, int, int, float, float]], kind: Strategy
) -> None:
    assert sum(once for name, once, _, _, _ in eight_processes if name == kind) == AT_ONCE


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_over_time_eight_processes_get_no_permit_too_many_and_miss_less_than_one_in_a_hundred(
    eight_processes: list[tuple[Strategy, int, int, float, float]], kind: Strategy
) -> None:
    mine = [(again, begin, end) for name, _, again, begin, end in eight_processes if name == kind]
    total = sum(again for again, _, _ in mine)
    longest = max(end for _, _, end in mine) - min(begin for _, begin, _ in mine)
    shortest = min(end for _, _, end in mine) - max(begin for _, begin, _ in mine)
    assert total <= A_SECOND * (1 + longest)
    assert total >= 0.99 * A_SECOND * shortest


# --- the server's clock --------------------------------------------------------------------------------------------


@pytest.fixture
def server_clock(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> ServerClock:
    read_clock_from_a_key(monkeypatch)
    return ServerClock(client)


@pytest.mark.parametrize("kind", KINDS)
def test_a_clock_that_is_set_back_neither_forgives_nor_holds_up_for_longer_than_a_period(
    server_clock: ServerClock, storage: RedisStorage, kind: Strategy
) -> None:
    decider = RedisDecider(storage, (Rule(kind, 4, Fraction(100)),))
    decider.decide("key", 3)
    server_clock.advance(-86_400_000_000)
    assert decider.peek("key").remaining <= 1
    refused = decider.decide("key", 4)
    assert (refused.allowed, refused.retry_after <= 200) == (False, True)
    server_clock.advance(int(refused.retry_after * 1_000_000) + 1)
    assert decider.decide("key", 4).allowed


@pytest.mark.parametrize("kind", KINDS)
def test_a_clock_that_is_set_forward_admits_at_most_one_limit_more(
    server_clock: ServerClock, storage: RedisStorage, kind: Strategy
) -> None:
    decider = RedisDecider(storage, (Rule(kind, 4, Fraction(100)),))
    decider.decide("key", 4)
    server_clock.advance(86_400_000_000)
    assert [decider.decide("key", 4).allowed, decider.decide("key").allowed] == [True, False]


@pytest.mark.parametrize("kind", ["token_bucket", "leaky_bucket", "sliding_window_log", "sliding_window_estimate"])
def test_a_changed_limit_forgives_nothing(server_clock: ServerClock, storage: RedisStorage, kind: Strategy) -> None:
    before = RedisDecider(storage, (Rule(kind, 10, Fraction(100)),), "named")
    before.decide("key", 6)
    after = RedisDecider(storage, (Rule(kind, 8, Fraction(400)),), "named")
    assert after.peek("key").remaining == 2


# --- what cannot be ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://host",
        "redis://user:secret@host:notaport",
        "redis+sentinel://:secret@host:1",
        "nothing",
        "memcached://h:1",
    ],
)
@pytest.mark.parametrize("make", [decider_at, async_decider_at])
def test_a_url_that_cannot_be_used_is_refused_without_telling_its_password(url: str, make: Any) -> None:
    with pytest.raises(ConfigurationError, match="limiter 'api': the storage's") as refusal:
        make(url, (bucket("api", "token_bucket", 1, 1),), name="api")
    assert "secret" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_a_server_that_does_not_answer_is_an_error_that_tells_no_address(own_redis: RedisServer) -> None:
    decider = decider_at(own_redis.url, (window("api", "sliding_window_log", 1, 1),), name="api")
    own_redis.kill()
    with pytest.raises(ResourceUnavailableError, match="did not decide") as lost:
        decider.decide("key")
    assert str(own_redis.port) not in str(lost.value)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "1"])
def test_a_timeout_out_of_range_is_refused(timeout: Any) -> None:
    with pytest.raises(ConfigurationError, match="timeout is"):
        decider_at("redis://127.0.0.1", (bucket("api", "token_bucket", 1, 1),), name="api", timeout=timeout)
