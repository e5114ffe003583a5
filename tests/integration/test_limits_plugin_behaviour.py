"""What `limits` does, it does under the plugin too: one suite, run bare and instrumented, sync and async, on real storages."""

from __future__ import annotations

import asyncio
import inspect
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from limits import RateLimitItem, parse
from limits.aio import strategies as aio_strategies
from limits.errors import StorageError
from limits.storage import storage_from_string
from limits.strategies import STRATEGIES
from redis.exceptions import ConnectionError as RedisConnectionError

from integration.redis_server import RedisServer
from spanguard import semconv
from spanguard.instrumentation.limits import LimitsInstrumentor
from spanguard.rate_limiter import TokenBucketRateLimiter
from spanguard.testing import Signals

REQUESTS = semconv.LIMITER_REQUESTS_METRIC.name
STRATEGY_NAMES = ("fixed-window", "moving-window", "sliding-window-counter")


class Driver:
    """A strategy of `limits`, sync or async, behind one face."""

    def __init__(self, strategy: Any, run: Callable[[Any], Any]) -> None:
        self.strategy = strategy
        self._run = run

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.strategy, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            return self._run(result) if inspect.isawaitable(result) else result

        return call


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server of this run alone."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(params=["bare", "instrumented"])
def instrumented(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether the plugin is on."""
    if request.param == "bare":
        yield False
        return
    LimitsInstrumentor().instrument()
    yield True
    LimitsInstrumentor().uninstrument()


@pytest.fixture(params=STRATEGY_NAMES)
def strategy_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=["memory", "async+memory", "redis", "async+redis"])
def driver(request: pytest.FixtureRequest, instrumented: bool, strategy_name: str) -> Iterator[Driver]:
    """A strategy on an empty storage."""
    kind: str = request.param
    url = f"{kind}://"
    options = {}
    if kind.endswith("redis"):
        url += f"127.0.0.1:{request.getfixturevalue('redis_server').port}"
        options = {"implementation": "redispy"} if kind.startswith("async") else {}
    table: dict[str, Any] = aio_strategies.STRATEGIES if kind.startswith("async") else dict(STRATEGIES)
    with asyncio.Runner() as runner:

        async def finish(awaitable: Any) -> Any:
            return await awaitable

        def run(awaitable: Any) -> Any:
            return runner.run(finish(awaitable))

        storage: Any = storage_from_string(url, **options)
        subject = Driver(table[strategy_name](storage), run)
        reset = Driver(storage, run)
        reset.reset()
        yield subject
        reset.reset()
        if kind == "async+redis":
            run(storage.bridge.get_connection().aclose())
        elif kind == "redis":
            storage.storage.close()


@pytest.fixture
def item() -> RateLimitItem:
    return parse("3 per hour")


def test_hits_are_admitted_up_to_the_amount(driver: Driver, item: RateLimitItem) -> None:
    assert [driver.hit(item, "key") for _ in range(5)] == [True, True, True, False, False]


def test_a_result_is_a_plain_bool(driver: Driver, item: RateLimitItem) -> None:
    assert {type(driver.hit(item, "key")) for _ in range(4)} == {bool}


def test_identifiers_are_apart(driver: Driver, item: RateLimitItem) -> None:
    for _ in range(4):
        driver.hit(item, "anna", "login")
    assert driver.hit(item, "ben", "login") is True
    assert driver.hit(item, "anna", "search") is True


def test_a_cost_is_taken_at_once(driver: Driver, item: RateLimitItem) -> None:
    assert driver.hit(item, "key", cost=2) is True
    assert driver.hit(item, "key", cost=2) is False


def test_a_test_takes_nothing(driver: Driver, item: RateLimitItem) -> None:
    assert [driver.test(item, "key") for _ in range(5)] == [True] * 5
    assert driver.get_window_stats(item, "key").remaining == 3


def test_a_test_sees_what_hits_took(driver: Driver, item: RateLimitItem) -> None:
    for _ in range(3):
        driver.hit(item, "key")
    assert driver.test(item, "key") is False


def test_window_stats_say_what_is_left(driver: Driver, item: RateLimitItem) -> None:
    driver.hit(item, "key")
    assert driver.get_window_stats(item, "key").remaining == 2


def test_a_cleared_key_starts_again(driver: Driver, item: RateLimitItem) -> None:
    for _ in range(3):
        driver.hit(item, "key")
    driver.clear(item, "key")
    assert driver.hit(item, "key") is True


def test_arguments_may_be_named(driver: Driver, item: RateLimitItem) -> None:
    assert driver.hit(item=item, cost=3) is True
    assert driver.hit(item=item) is False


def test_wrong_arguments_are_refused_as_ever(driver: Driver) -> None:
    with pytest.raises(TypeError, match="item"):
        driver.hit()


def test_the_method_looks_as_ever(driver: Driver, strategy_name: str) -> None:
    method = driver.strategy.hit
    asynchronous = type(driver.strategy).__module__.startswith("limits.aio")
    assert method.__name__ == "hit"
    assert method.__doc__.strip().startswith("Consume the rate limit")
    assert list(inspect.signature(method).parameters) == ["item", "identifiers", "cost"]
    assert inspect.iscoroutinefunction(method) is asynchronous


def test_each_hit_counts_once_by_its_result_and_nothing_else_counts(
    driver: Driver, item: RateLimitItem, instrumented: bool, strategy_name: str, signals: Signals
) -> None:
    for _ in range(5):
        driver.hit(item, "key")
    driver.test(item, "key")
    driver.get_window_stats(item, "key")
    driver.clear(item, "key")
    where = {
        semconv.POLICY_NAME.key: "3 per 1 hour",
        semconv.LIMITER_STRATEGY.key: strategy_name.replace("-", "_"),
    }
    counted = {
        result: signals.increase(REQUESTS, {**where, semconv.LIMITER_RESULT.key: result})
        for result in ("acquired", "rejected")
    }
    assert counted == ({"acquired": 3, "rejected": 2} if instrumented else {"acquired": 0, "rejected": 0})
    assert signals.increase(REQUESTS) == sum(counted.values())
    assert len(signals.events(semconv.LIMITER_REJECTED_EVENT.name)) == counted["rejected"]


@pytest.mark.parametrize("wrap_exceptions", [False, True])
def test_a_storage_error_reaches_the_caller_and_counts_nothing(
    instrumented: bool, wrap_exceptions: bool, signals: Signals
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        storage: Any = storage_from_string(f"redis://127.0.0.1:{port}", wrap_exceptions=wrap_exceptions)
        strategy = STRATEGIES["fixed-window"](storage)
        with pytest.raises(StorageError if wrap_exceptions else RedisConnectionError) as caught:
            strategy.hit(parse("3 per hour"), "key")
    assert isinstance(caught.value, StorageError) is wrap_exceptions
    assert signals.increase(REQUESTS) == 0
    assert signals.increase(semconv.TELEMETRY_ERRORS_METRIC.name) == 0


def test_our_own_token_bucket_counts_once_and_knows_when_to_come_back(instrumented: bool, signals: Signals) -> None:
    strategy: Any = STRATEGIES["token-bucket"](storage_from_string("memory://"))
    assert isinstance(strategy, TokenBucketRateLimiter)
    item = parse("1 per minute")
    assert [strategy.hit(item, "key") for _ in range(2)] == [True, False]
    assert signals.increase(REQUESTS) == (2 if instrumented else 0)
    events = signals.events(semconv.LIMITER_REJECTED_EVENT.name)
    assert len(events) == instrumented
    for event in events:
        assert event.attributes[semconv.LIMITER_STRATEGY.key] == "token_bucket"
        assert 59 < event.attributes[semconv.LIMITER_RETRY_AFTER.key] <= 60
