"""Calls that ask the server for a permit: from event loops, in crowds, and given up on the way."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from integration.redis_server import RedisServer, awaited
from spanguard import semconv
from spanguard.error_handling import CircuitBreaker, CircuitBreakerError, RedisBreakerStorage
from spanguard.error_handling.circuit_breaker.shared.link import Lease
from spanguard.testing import Signals

Build = Callable[..., CircuitBreaker]


async def succeed() -> str:
    return "done"


@pytest.fixture
def half_open(lasting_server: RedisServer, build: Build) -> Callable[..., tuple[CircuitBreaker, CircuitBreaker]]:
    """Return two breakers that are half-open, with connections of their own; nobody probes."""

    def pair(**settings: int) -> tuple[CircuitBreaker, CircuitBreaker]:
        first, second = (build(lasting_server, timeout=timeout, **settings) for timeout in (5.0, 5.1))
        first.half_open()
        awaited(lambda: second.current_state == "half-open")
        return first, second

    return pair


Pair = Callable[..., tuple[CircuitBreaker, CircuitBreaker]]


async def test_awaited_calls_are_probes_by_permit(half_open: Pair) -> None:
    first, second = half_open(success_threshold=9)
    async with first.calling():
        with pytest.raises(CircuitBreakerError):
            await second.call_async(succeed)
    assert await first.call_async(succeed) == "done"


async def test_decorated_coroutines_and_generators_are_probes_by_permit(half_open: Pair) -> None:
    first, second = half_open(success_threshold=9)

    @second
    async def guarded() -> str:
        return "done"

    @second
    async def numbers() -> AsyncIterator[int]:
        yield 1

    async with first.calling():
        with pytest.raises(CircuitBreakerError):
            await guarded()
        with pytest.raises(CircuitBreakerError):
            await anext(numbers())
    deadline = asyncio.get_running_loop().time() + 20
    while (found := [number async for number in if_let_through(numbers())]) == []:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)
    assert found == [1]


async def if_let_through(numbers: AsyncIterator[int]) -> AsyncIterator[int]:
    try:
        async for number in numbers:
            yield number
    except CircuitBreakerError:
        return


async def test_the_event_loop_goes_on_while_a_call_waits_for_the_server(server: RedisServer, build: Build) -> None:
    breaker = build(server, timeout=1.5)
    breaker.half_open()
    awaited(lambda: server.commands("hset"))
    server.pause()
    waiting = asyncio.create_task(breaker.call_async(succeed))
    ticks = 0
    while not waiting.done():
        await asyncio.sleep(0.001)
        ticks += 1
    assert await waiting == "done"
    assert ticks > 10


async def test_a_call_cancelled_while_it_waits_takes_no_permit(
    server: RedisServer, build: Build, name: str, signals: Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = RedisBreakerStorage(server.url, name, timeout=30)
    is_asked, ask = threading.Event(), storage.admit

    def admit(*question: Any) -> list[Lease]:
        is_asked.set()
        return ask(*question)

    monkeypatch.setattr(storage, "admit", admit)
    breaker = CircuitBreaker(name=name, state_storage=storage)
    other = build(server)
    breaker.half_open()
    awaited(lambda: other.current_state == "half-open")
    server.pause()
    waiting = asyncio.create_task(breaker.call_async(succeed))
    assert await asyncio.to_thread(is_asked.wait, 20)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    (span,) = signals.spans(f"guard {name}")
    assert span.attributes[semconv.BREAKER_OUTCOME.key] == "ignored"
    server.resume()
    assert awaited(lambda: passes(other))


def passes(breaker: CircuitBreaker) -> bool:
    try:
        breaker.call(int)
    except CircuitBreakerError:
        return False
    return True


async def test_a_thousand_tasks_make_exactly_as_many_probes_as_are_allowed(half_open: Pair) -> None:
    breakers = half_open(half_open_max_calls=7, success_threshold=1000)
    async with AsyncExitStack() as held:
        entered = 0

        async def enter(breaker: CircuitBreaker) -> None:
            nonlocal entered
            block = breaker.calling()
            try:
                await block.__aenter__()
            except CircuitBreakerError:
                return
            entered += 1
            held.push_async_exit(block)

        await asyncio.gather(*(enter(breakers[number % 2]) for number in range(1000)))
        assert entered == 7


def test_a_crowd_of_threads_makes_exactly_as_many_probes_as_are_allowed(half_open: Pair) -> None:
    breakers = half_open(half_open_max_calls=5, success_threshold=1000)
    gate, let_go = threading.Barrier(64), threading.Event()
    outcomes: list[str] = []

    def enter(breaker: CircuitBreaker) -> None:
        gate.wait()
        try:
            with breaker.calling():
                outcomes.append("entered")
                let_go.wait(30)
        except CircuitBreakerError:
            outcomes.append("refused")

    threads = [threading.Thread(target=enter, args=(breakers[number % 2],)) for number in range(64)]
    for thread in threads:
        thread.start()
    awaited(lambda: len(outcomes) == 64)
    let_go.set()
    for thread in threads:
        thread.join()
    assert outcomes.count("entered") == 5


def test_breakers_on_one_server_share_a_thread_that_ends_with_them(lasting_server: RedisServer) -> None:
    others = set(threading.enumerate())

    def links() -> int:
        return sum(thread.name == "spanguard-breaker-link" for thread in set(threading.enumerate()) - others)

    storages = [RedisBreakerStorage(lasting_server.url, f"api {number}") for number in range(5)]
    breakers = [CircuitBreaker(state_storage=storage) for storage in storages]
    awaited(lambda: links() == 1)
    link = weakref.ref(storages[0].link)
    del storages, breakers
    gc.collect()
    awaited(lambda: links() == 0)
    assert link() is None
