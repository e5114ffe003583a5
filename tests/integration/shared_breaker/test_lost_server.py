"""A server that is killed, paused, emptied or started again: the breaker goes on by itself, says so, and comes back."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import pytest

from integration.redis_server import RedisServer, awaited, free_port
from integration.shared_breaker.worker import Worker, fail, outcome_of
from spanguard import semconv
from spanguard.error_handling import CircuitBreaker, RedisBreakerStorage
from spanguard.error_handling.circuit_breaker.shared.server import Server
from spanguard.testing import Signals

Workers = Callable[..., list[Worker]]
Build = Callable[..., CircuitBreaker]


@pytest.fixture
def storage(server: RedisServer, name: str) -> RedisBreakerStorage:
    fresh = RedisBreakerStorage(server.url, name)
    awaited(lambda: server.commands("hget"))
    return fresh


@pytest.fixture
def breaker(storage: RedisBreakerStorage, name: str) -> CircuitBreaker:
    return CircuitBreaker(2, 60, name=name, state_storage=storage)


def changes(signals: Signals, name: str) -> list[str]:
    found = [
        event.attributes[semconv.BREAKER_STORAGE_STATE.key]
        for event in signals.events(semconv.BREAKER_STORAGE_EVENT.name)
        if event.attributes[semconv.POLICY_NAME.key] == name
    ]
    return [str(state) for state in found]


def test_without_its_server_a_breaker_goes_on_by_itself(
    server: RedisServer, breaker: CircuitBreaker, storage: RedisBreakerStorage
) -> None:
    server.kill()
    awaited(lambda: storage.status == "degraded")
    assert breaker.call(int) == 0
    assert [outcome_of(breaker, fail), outcome_of(breaker, fail)] == ["failed", "failed"]
    assert outcome_of(breaker, int) == "refused"
    breaker.reset_timeout = 0.001
    assert awaited(lambda: outcome_of(breaker, int) == "succeeded")
    assert breaker.current_state == "closed"


def test_the_loss_and_the_return_of_the_server_are_told_once(
    server: RedisServer, breaker: CircuitBreaker, storage: RedisBreakerStorage, signals: Signals, name: str
) -> None:
    server.kill()
    awaited(lambda: storage.status == "degraded")
    tried = [storage.link._due]
    while len(tried) < 3:
        tried.append(awaited(lambda: storage.link._due > tried[-1] and storage.link._due))
    for _ in range(20):
        breaker.half_open()
        outcome_of(breaker, int)
    server.start()
    awaited(lambda: storage.status == "available")
    awaited(lambda: len(changes(signals, name)) == 2)
    assert changes(signals, name) == ["degraded", "available"]


def test_the_metric_shows_the_loss_and_the_return(
    server: RedisServer, breaker: CircuitBreaker, storage: RedisBreakerStorage, signals: Signals, name: str
) -> None:
    def shown() -> dict[str, float]:
        return {
            str(point.attributes[semconv.BREAKER_STORAGE_STATE.key]): point.value
            for point in signals.points(semconv.BREAKER_STORAGE_STATUS_METRIC.name)
            if point.attributes[semconv.POLICY_NAME.key] == name
        }

    assert shown() == {"available": 1, "degraded": 0}
    server.kill()
    awaited(lambda: shown() == {"available": 0, "degraded": 1})
    server.start()
    awaited(lambda: shown() == {"available": 1, "degraded": 0})


def test_a_server_that_hangs_costs_one_short_wait(
    server: RedisServer, breaker: CircuitBreaker, storage: RedisBreakerStorage
) -> None:
    breaker.half_open()
    awaited(lambda: server.commands("hset"))
    server.pause()
    # A minute, if each of them waited for the server.
    deadline = threading.Event()
    timer = threading.Timer(20, deadline.set)
    timer.start()
    for _ in range(600):
        breaker.half_open()
        assert outcome_of(breaker, int) == "succeeded"
    timer.cancel()
    assert not deadline.is_set()
    assert storage.status == "degraded"


def test_a_wait_that_was_too_long_stands_until_the_next_try(
    storage: RedisBreakerStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, tell = storage.link, storage.tell
    found_degraded: list[bool] = []

    def tell_while_a_call_gives_up(server: Server) -> None:
        found_degraded.append(link.is_degraded)
        tell(server)
        if len(found_degraded) == 1:
            link.degrade("TimeoutError")

    monkeypatch.setattr(storage, "tell", tell_while_a_call_gives_up)
    awaited(lambda: len(found_degraded) > 1)
    assert found_degraded[1]
    awaited(lambda: storage.status == "available")


def test_a_server_that_hangs_and_goes_on_is_found_again(
    server: RedisServer, breaker: CircuitBreaker, storage: RedisBreakerStorage, build: Build
) -> None:
    other = build(server)
    server.pause()
    awaited(lambda: storage.status == "degraded")
    server.resume()
    awaited(lambda: storage.status == "available")
    breaker.open()
    awaited(lambda: other.current_state == "open")


def test_a_permit_that_a_hung_server_grants_too_late_jams_nobody(
    server: RedisServer, build: Build, storage: RedisBreakerStorage, name: str
) -> None:
    asking = CircuitBreaker(name=name, success_threshold=2, state_storage=storage)
    asking.half_open()
    awaited(lambda: server.commands("hset"))
    storage.link._due = time.monotonic() + 60  # it is the call that finds the server hanging
    server.pause()
    assert outcome_of(asking, int) == "succeeded"
    assert storage.status == "degraded"
    server.resume()
    other = build(server, success_threshold=2, timeout=5.0)
    awaited(lambda: outcome_of(other, int) == "succeeded" and other.current_state == "half-open")


def test_a_probe_that_ends_without_the_server_gives_its_permit_back_when_it_is_back(
    server: RedisServer, build: Build, storage: RedisBreakerStorage, name: str
) -> None:
    probing = CircuitBreaker(name=name, success_threshold=2, state_storage=storage)
    probing.half_open()
    awaited(lambda: server.commands("hset"))
    with probing.calling():
        server.pause()
        awaited(lambda: storage.status == "degraded")
    server.resume()
    other = build(server, success_threshold=2, timeout=5.0)
    awaited(lambda: outcome_of(other, int) == "succeeded" and other.current_state != "open")


def test_what_happened_without_the_server_is_told_when_it_is_back(
    server: RedisServer, breaker: CircuitBreaker, storage: RedisBreakerStorage, build: Build
) -> None:
    other = build(server, timeout=0.11)
    server.kill()
    awaited(lambda: storage.status == "degraded")
    assert [outcome_of(breaker, fail), outcome_of(breaker, fail)] == ["failed", "failed"]
    assert other.current_state == "closed"
    server.start()
    awaited(lambda: other.current_state == "open")
    assert breaker.current_state == "open"


@pytest.mark.parametrize("loss", ["restart", "flush"])
def test_a_server_that_has_forgotten_is_told_again(
    loss: str, server: RedisServer, breaker: CircuitBreaker, build: Build
) -> None:
    breaker.open()
    awaited(lambda: server.command("DBSIZE"))
    if loss == "restart":
        server.kill()
        server.start()
    else:
        server.command("FLUSHALL")
    late = build(server)
    awaited(lambda: late.current_state == "open")
    assert breaker.current_state == "open"


def test_a_dead_server_does_not_keep_a_service_from_starting(name: str) -> None:
    storage = RedisBreakerStorage(f"redis://127.0.0.1:{free_port()}", name)
    breaker = CircuitBreaker(1, 60, name=name, state_storage=storage)
    assert breaker.call(int) == 0
    awaited(lambda: storage.status == "degraded")
    assert outcome_of(breaker, fail) == "failed"
    assert breaker.current_state == "open"


def test_a_breaker_that_joins_a_lost_server_says_so_too(name: str, signals: Signals) -> None:
    url = f"redis://127.0.0.1:{free_port()}"
    first = RedisBreakerStorage(url, f"{name} first")
    awaited(lambda: first.status == "degraded")
    second = RedisBreakerStorage(url, name)
    assert second.status == "degraded"
    assert changes(signals, name) == ["degraded"]


def test_a_server_that_loses_its_scripts_under_load_is_no_loss(server: RedisServer, workers: Workers) -> None:
    crowd = workers(4, server.url, reset_timeout=0.005, half_open_max_calls=2, timeout=5.0)
    for worker in crowd:
        worker.begin("storm", 50)
    done = threading.Event()

    def flush() -> None:
        while not done.is_set():
            server.command("SCRIPT", "FLUSH")

    flusher = threading.Thread(target=flush)
    flusher.start()
    try:
        outcomes = [worker.result() for worker in crowd]
    finally:
        done.set()
        flusher.join()
    assert all(isinstance(outcome, dict) and outcome["degraded"] == 0 for outcome in outcomes), outcomes
    assert sum(outcome["succeeded"] for outcome in outcomes)
    # More than the first of each request: a flush took the script away, and it came back.
    assert server.commands("eval") > 4


def test_a_server_killed_and_paused_under_load_raises_nothing_of_its_own(
    server: RedisServer, workers: Workers, name: str
) -> None:
    crowd = workers(3, server.url, reset_timeout=0.01, timeout=0.1)
    witness = RedisBreakerStorage(server.url, f"{name} witness")
    for worker in crowd:
        worker.begin("storm", 40)
    for take_away, bring_back in ((server.kill, server.start), (server.pause, server.resume)):
        take_away()
        awaited(lambda: witness.status == "degraded")
        bring_back()
        awaited(lambda: witness.status == "available")
    outcomes = [worker.result() for worker in crowd]
    assert all(isinstance(outcome, dict) for outcome in outcomes), outcomes
    awaited(lambda: all(worker.do("status") == "available" for worker in crowd))


@pytest.mark.parametrize("state", ["closed", "open", "half-open"])
def test_a_forked_child_goes_on_sharing(
    state: str, lasting_server: RedisServer, build: Build, in_child: Callable[..., str]
) -> None:
    breaker = build(lasting_server)
    breaker.state = state
    witness = build(lasting_server, timeout=5.1)
    awaited(lambda: witness.current_state == state)
    target = "closed" if state == "open" else "open"

    def follow() -> tuple[str, str]:
        found = breaker.current_state
        other = build(lasting_server, timeout=5.2)
        other.state = target
        awaited(lambda: breaker.current_state == target)
        return found, target

    assert in_child(follow) == repr((state, target))
    awaited(lambda: breaker.current_state == target)


def test_a_child_forked_from_a_probe_does_not_count_it_twice(
    lasting_server: RedisServer, build: Build, in_child: Callable[..., str]
) -> None:
    breaker = build(lasting_server, success_threshold=2)
    witness = build(lasting_server, success_threshold=2, timeout=5.1)
    breaker.half_open()
    with breaker.calling():
        awaited(lambda: witness.current_state == "half-open")

        def end_the_probe_here_too() -> str:
            return breaker.current_state

        assert in_child(end_the_probe_here_too) == "'half-open'"
    assert awaited(lambda: outcome_of(witness, int) == "succeeded")
    awaited(lambda: breaker.current_state == witness.current_state == "closed")


def test_a_child_forked_without_a_server_finds_it_when_it_is_back(
    server: RedisServer, breaker: CircuitBreaker, storage: RedisBreakerStorage, in_child: Callable[..., str]
) -> None:
    server.kill()
    awaited(lambda: storage.status == "degraded")
    is_told, tell = os.pipe()

    def start() -> None:
        os.read(is_told, 1)
        server.start()

    starter = threading.Thread(target=start)
    starter.start()

    def come_back() -> tuple[str, str]:
        found = storage.status
        os.write(tell, b"x")
        awaited(lambda: storage.status == "available")
        return found, storage.status

    assert in_child(come_back) == repr(("degraded", "available"))
    starter.join()
