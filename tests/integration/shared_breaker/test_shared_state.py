"""What processes share: the opening, the probes, the closing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pybreaker
import pytest

from integration.redis_server import RedisServer, awaited
from integration.shared_breaker.worker import Worker, fail, outcome_of
from spanguard.error_handling import CircuitBreaker, RedisBreakerStorage
from spanguard.error_handling.circuit_breaker.machine import Permit
from spanguard.error_handling.circuit_breaker.shared.script import View, keys_of, microseconds
from spanguard.error_handling.circuit_breaker.shared.server import Server
from spanguard.errors import ConfigurationError

Workers = Callable[..., list[Worker]]
Build = Callable[..., CircuitBreaker]


def test_an_opening_reaches_the_other_processes(lasting_server: RedisServer, workers: Workers) -> None:
    first, *others = workers(4, lasting_server.url, reset_timeout=60)
    assert first.do("fail", 2) == ["failed", "failed"]
    await_states(others, "open")
    assert [other.do("succeed") for other in others] == ["refused"] * 3


def test_all_count_from_the_same_opening(lasting_server: RedisServer, workers: Workers) -> None:
    first, second = workers(2, lasting_server.url, reset_timeout=60)
    first.do("fail", 2)
    awaited(lambda: second.state() == "open")
    assert first.do("retry_after") == pytest.approx(second.do("retry_after"), abs=0.5)


def test_a_closing_reaches_the_other_processes(lasting_server: RedisServer, workers: Workers) -> None:
    first, *others = workers(4, lasting_server.url, reset_timeout=0.5)
    first.do("fail", 2)
    await_states(others, "open", "half-open")
    awaited(lambda: first.do("succeed") == "succeeded")
    await_states(others, "closed")


def test_a_process_that_comes_later_finds_it_open(lasting_server: RedisServer, workers: Workers, name: str) -> None:
    workers(1, lasting_server.url, reset_timeout=60)[0].do("fail", 2)
    awaited(lambda: lasting_server.command("EXISTS", key_of(name)))
    (late,) = workers(1, lasting_server.url, reset_timeout=60)
    awaited(lambda: late.state() == "open")


def test_each_process_counts_its_own_failures(lasting_server: RedisServer, workers: Workers) -> None:
    first, second = workers(2, lasting_server.url)
    assert first.do("fail") + second.do("fail") == ["failed", "failed"]
    assert (first.state(), second.state()) == ("closed", "closed")


def test_eight_processes_make_exactly_as_many_probes_as_are_allowed(
    lasting_server: RedisServer, workers: Workers
) -> None:
    crowd = workers(8, lasting_server.url, reset_timeout=0.3, half_open_max_calls=3)
    crowd[0].do("fail", 2)
    await_states(crowd, "open", "half-open")
    awaited(lambda: not any(worker.do("retry_after") for worker in crowd))
    held = 0
    for _ in range(5):
        for worker in crowd:
            worker.begin("hold", 4)
        held += sum(worker.result() for worker in crowd)
    assert held == 3


def test_a_probe_that_ends_makes_room_for_that_of_another_process(
    lasting_server: RedisServer, workers: Workers
) -> None:
    first, second = workers(2, lasting_server.url, reset_timeout=0.1, success_threshold=3)
    first.do("fail", 2)
    awaited(lambda: first.do("hold", 1) == 1)
    awaited(lambda: second.state() == "half-open")
    assert second.do("hold", 1) == 0
    first.do("let_go")
    assert awaited(lambda: second.do("hold", 1)) == 1


def test_the_probes_of_all_processes_close_it_together(lasting_server: RedisServer, workers: Workers) -> None:
    crowd = workers(3, lasting_server.url, reset_timeout=0.1, success_threshold=3)
    crowd[0].do("fail", 2)
    await_states(crowd, "open", "half-open")
    for worker in crowd:
        awaited(partial(worker.do, "hold", 1))
        worker.do("let_go")
    await_states(crowd, "closed")


def test_a_failed_probe_opens_it_everywhere(lasting_server: RedisServer, workers: Workers) -> None:
    first, second = workers(2, lasting_server.url, reset_timeout=0.3)
    first.do("fail", 2)
    awaited(lambda: first.do("fail") == ["failed"])
    awaited(lambda: second.state() == "open")


def test_the_probe_of_a_killed_process_loses_its_permit(lasting_server: RedisServer, workers: Workers) -> None:
    first, second = workers(2, lasting_server.url, reset_timeout=0.1, probe_lease=1.0)
    first.do("fail", 2)
    awaited(lambda: first.do("hold", 1) == 1)
    awaited(lambda: second.state() == "half-open")
    assert second.do("hold", 1) == 0
    first.kill()
    assert awaited(lambda: second.do("hold", 1)) == 1


def test_what_somebody_asks_for_stands_everywhere(lasting_server: RedisServer, build: Build) -> None:
    first, second = build(lasting_server), build(lasting_server)
    for state in ("open", "half-open", "closed", "open"):
        first.state = state
        awaited(partial(is_in, second, state))


def test_to_open_it_again_prolongs_it_everywhere(lasting_server: RedisServer, build: Build) -> None:
    first, second = build(lasting_server, reset_timeout=60), build(lasting_server, reset_timeout=60)
    first.open()
    awaited(lambda: 0 < second.stats().retry_after < 59.5)
    first.open()
    awaited(lambda: second.stats().retry_after > 59.5)


def test_calls_through_a_closed_breaker_cost_no_command(lasting_server: RedisServer, build: Build) -> None:
    breaker = build(lasting_server, fail_max=10_000)
    before = asked(lasting_server)
    for _ in range(500):
        breaker.call(int)
        outcome_of(breaker, fail)
    assert asked(lasting_server) == before


def test_an_open_breaker_refuses_without_a_command(lasting_server: RedisServer, build: Build, name: str) -> None:
    breaker = build(lasting_server)
    breaker.open()
    awaited(lambda: lasting_server.command("EXISTS", key_of(name)))
    before = asked(lasting_server)
    assert {outcome_of(breaker, int) for _ in range(500)} == {"refused"}
    assert asked(lasting_server) == before


def test_a_crowd_that_is_refused_asks_only_now_and_then(lasting_server: RedisServer, build: Build) -> None:
    first, second = build(lasting_server), build(lasting_server)
    first.half_open()
    awaited(lambda: second.current_state == "half-open")
    with first.calling():
        before = asked(lasting_server)
        assert {outcome_of(second, int) for _ in range(500)} == {"refused"}
        assert asked(lasting_server) - before < 100


def test_the_keys_expire(lasting_server: RedisServer, build: Build, name: str) -> None:
    breaker = build(lasting_server, reset_timeout=10_000, half_open_max_calls=2)
    breaker.half_open()
    with breaker.calling():
        assert len(keys(lasting_server, name)) == 2
        for key in keys(lasting_server, name):
            assert 20_000 <= lasting_server.command("TTL", key) <= 20_120


def test_another_prefix_is_another_breaker(lasting_server: RedisServer, build: Build, name: str) -> None:
    storage = RedisBreakerStorage(lasting_server.url, name, key_prefix="other")
    apart = CircuitBreaker(name=name, state_storage=storage)
    first, second = build(lasting_server), build(lasting_server)
    first.open()
    awaited(lambda: second.current_state == "open")
    assert apart.current_state == "closed"


def test_listeners_hear_of_the_moves_of_others(lasting_server: RedisServer, build: Build) -> None:
    moves: list[tuple[str, str]] = []

    class Listener(pybreaker.CircuitBreakerListener):
        def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
            moves.append((old_state.name, new_state.name))

    first, _ = build(lasting_server), build(lasting_server, listeners=[Listener()])
    first.open()
    awaited(lambda: moves)
    assert moves == [("closed", "open")]


def test_a_breaker_of_pybreaker_shares_its_state_too(lasting_server: RedisServer, build: Build, name: str) -> None:
    ours = build(lasting_server)
    storage = RedisBreakerStorage(lasting_server.url, name)
    theirs = pybreaker.CircuitBreaker(fail_max=2, reset_timeout=60, state_storage=storage)
    for _ in range(2):
        with pytest.raises((ConnectionError, pybreaker.CircuitBreakerError)):
            theirs.call(fail)
    awaited(lambda: ours.current_state == "open")
    ours.close()
    awaited(lambda: theirs.current_state == "closed")
    ours.open()
    awaited(lambda: theirs.current_state == "open")
    with pytest.raises(pybreaker.CircuitBreakerError):
        theirs.call(int)


def test_a_storage_serves_one_breaker(lasting_server: RedisServer, build: Build, name: str) -> None:
    storage = RedisBreakerStorage(lasting_server.url, name)
    first = CircuitBreaker(name=name, state_storage=storage)
    with pytest.raises(ConfigurationError, match="serves a breaker already"):
        CircuitBreaker(name=name, state_storage=storage)
    assert first.call(int) == 0


@pytest.fixture
def elsewhere(lasting_server: RedisServer, name: str) -> Callable[..., View]:
    """Move the breaker at the server, as another process would."""
    server = Server(lasting_server.url, 5.0, {})

    def move(state: str, open_for: float = 0.0) -> View:
        keys = keys_of("spanguard:circuit_breaker", name)
        return server.run(keys, "move", 60_000, state, microseconds(open_for), "")

    return move


def test_an_opening_that_is_taken_over_lasts_as_long_as_it_does_elsewhere(
    lasting_server: RedisServer, build: Build, elsewhere: Callable[..., View]
) -> None:
    breaker = build(lasting_server, reset_timeout=60)
    elsewhere("open", 20)
    awaited(lambda: breaker.current_state == "open")
    assert 0 < breaker.stats().retry_after <= 20


def test_a_probe_of_a_half_open_state_that_is_over_does_not_close_the_next(
    lasting_server: RedisServer, build: Build, elsewhere: Callable[..., View], name: str
) -> None:
    breaker = build(lasting_server)
    breaker.half_open()
    awaited(lambda: lasting_server.command("EXISTS", key_of(name)))
    with breaker.calling():
        elsewhere("open")
        present = elsewhere("half_open").epoch
        storage: Any = breaker._state_storage
        awaited(lambda: storage.epoch == present)
    assert breaker.current_state == "half-open"


def test_a_permit_that_finds_no_room_here_is_given_back(
    lasting_server: RedisServer, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = build(lasting_server), build(lasting_server)
    first.half_open()
    awaited(lambda: second.current_state == "half-open")
    machine = first._machine
    storage: Any = first._state_storage
    ask = storage.ask

    def ask_while_another_begins() -> Any:
        lease = ask()
        machine.probes.add(Permit(machine.generation, "half_open", float("inf")))
        return lease

    monkeypatch.setattr(storage, "ask", ask_while_another_begins)
    assert outcome_of(first, int) == "refused"
    awaited(lambda: outcome_of(second, int) == "succeeded")


def test_a_probe_that_ends_here_makes_room_at_once(lasting_server: RedisServer, build: Build) -> None:
    settings = {"half_open_max_calls": 2, "success_threshold": 9}
    first, second = build(lasting_server, **settings), build(lasting_server, **settings)
    first.half_open()
    awaited(lambda: second.current_state == "half-open")
    with first.calling():
        with second.calling():
            assert outcome_of(second, int) == "refused"
        assert outcome_of(second, int) == "succeeded"


def await_states(workers: list[Worker], *states: str) -> None:
    awaited(lambda: all(worker.state() in states for worker in workers))


def is_in(breaker: CircuitBreaker, state: str) -> bool:
    return breaker.current_state == state


def key_of(name: str) -> str:
    return f"spanguard:circuit_breaker:{{{name.replace(' ', '%20')}}}"


def keys(server: RedisServer, name: str) -> list[str]:
    found: list[str] = server.command("KEYS", f"*{name.replace(' ', '%20')}*")
    return sorted(found)


def asked(server: RedisServer) -> int:
    return server.commands("evalsha") + server.commands("eval")
