"""The script alone, on a real server: what it lets happen, and what not."""

from __future__ import annotations

import pytest

from integration.redis_server import RedisServer, awaited
from spanguard.error_handling.circuit_breaker.shared.script import View, keys_of, microseconds
from spanguard.error_handling.circuit_breaker.shared.server import Server

ANYWAY = ""


class Breaker:
    """A breaker as the server has it."""

    def __init__(self, server: Server, name: str) -> None:
        self._server = server
        self.keys = keys_of("test", name)

    def _run(self, request: str, *arguments: str | int) -> View:
        return self._server.run(self.keys, request, 60_000, *arguments)

    def read(self) -> View:
        return self._run("read")

    def move(self, state: str, open_for: float = 0.0, epoch: str = ANYWAY) -> View:
        return self._run("move", state, microseconds(open_for), epoch)

    def admit(self, most: int, *tokens: str, lease: float = 60.0) -> View:
        return self._run("admit", most, microseconds(lease), *tokens)

    def settle(self, threshold: int, token: str, epoch: str, *, succeeded: bool = True) -> View:
        return self._run("settle", threshold, token, epoch, int(succeeded))


@pytest.fixture
def breaker(lasting_server: RedisServer, name: str) -> Breaker:
    return Breaker(Server(lasting_server.url, 5.0, {}), name)


def test_nothing_is_known_of_a_breaker_that_never_moved(breaker: Breaker) -> None:
    assert breaker.read() == View(None, "0", 0.0, 0)


def test_each_move_makes_a_later_epoch(breaker: Breaker) -> None:
    epochs = [int(breaker.move(state).epoch) for state in ("open", "half_open", "closed") * 3]
    assert epochs == sorted(set(epochs))


def test_epochs_grow_though_the_clock_went_back(breaker: Breaker, lasting_server: RedisServer) -> None:
    future = 9_000_000_000_000_000
    breaker.move("open")
    lasting_server.command("HSET", breaker.keys[0], "epoch", str(future))
    assert breaker.move("closed").epoch == str(future + 1)


def test_a_move_from_an_epoch_that_is_over_changes_nothing(breaker: Breaker) -> None:
    before = breaker.move("closed").epoch
    breaker.move("open", 10)
    present = breaker.move("closed")
    late = breaker.move("open", 10, before)
    assert (late.state, late.epoch, late.granted) == ("closed", present.epoch, 0)


def test_a_move_from_the_present_epoch_is_made(breaker: Breaker) -> None:
    moved = breaker.move("open", 10, breaker.move("closed").epoch)
    assert (moved.state, moved.granted) == ("open", 1)
    assert 9 < moved.open_for <= 10


def test_no_probe_is_let_through_while_it_stays_open(breaker: Breaker) -> None:
    breaker.move("open", 10)
    refused = breaker.admit(1, "a")
    assert (refused.state, refused.granted) == ("open", 0)
    assert 9 < refused.open_for <= 10


def test_the_first_probe_after_that_makes_it_half_open(breaker: Breaker) -> None:
    opened = breaker.move("open", 0)
    admitted = breaker.admit(1, "a")
    assert (admitted.state, admitted.granted) == ("half_open", 1)
    assert int(admitted.epoch) > int(opened.epoch)
    assert breaker.admit(1, "b") == View("half_open", admitted.epoch, 0.0, 0)


def test_a_closed_breaker_grants_no_permits(breaker: Breaker) -> None:
    breaker.move("closed")
    assert breaker.admit(1, "a").granted == 0


def test_of_a_crowd_as_many_are_let_through_as_there_is_room_for(breaker: Breaker) -> None:
    breaker.move("half_open")
    assert breaker.admit(5, "a", "b").granted == 2
    assert breaker.admit(5, "c", "d", "e", "f", "g").granted == 3
    assert breaker.admit(5, "h").granted == 0


def test_a_lease_that_ended_makes_room(breaker: Breaker) -> None:
    breaker.move("half_open")
    assert breaker.admit(1, "a", lease=0.2).granted == 1
    assert breaker.admit(1, "b").granted == 0
    assert awaited(lambda: breaker.admit(1, "b").granted)


def test_probes_that_failed_to_begin_make_room_and_count_for_nothing(breaker: Breaker) -> None:
    epoch = breaker.move("half_open").epoch
    breaker.admit(1, "a")
    assert breaker.settle(1, "a", epoch, succeeded=False).state == "half_open"
    assert breaker.admit(1, "b").granted == 1


def test_a_success_counts_once(breaker: Breaker) -> None:
    epoch = breaker.move("half_open").epoch
    breaker.admit(2, "a", "b")
    assert breaker.settle(2, "a", epoch).state == "half_open"
    assert breaker.settle(2, "a", epoch).state == "half_open"
    closed = breaker.settle(2, "b", epoch)
    assert (closed.state, closed.granted) == ("closed", 1)


def test_a_success_of_an_epoch_that_is_over_counts_for_nothing(breaker: Breaker) -> None:
    before = breaker.move("half_open").epoch
    breaker.admit(1, "a")
    breaker.move("open")
    breaker.move("half_open")
    breaker.admit(1, "a")
    assert breaker.settle(1, "a", before).state == "half_open"


def test_successes_of_an_epoch_that_is_over_are_forgotten(breaker: Breaker) -> None:
    epoch = breaker.move("half_open").epoch
    breaker.admit(1, "a")
    breaker.settle(2, "a", epoch)
    breaker.move("open")
    epoch = breaker.admit(1, "b").epoch
    assert breaker.settle(2, "b", epoch).state == "half_open"


def test_a_move_takes_all_permits_away(breaker: Breaker, lasting_server: RedisServer) -> None:
    breaker.move("half_open")
    breaker.admit(3, "a", "b", "c")
    breaker.move("half_open")
    assert lasting_server.command("EXISTS", breaker.keys[1]) == 0
    assert breaker.admit(3, "d", "e", "f").granted == 3


def test_the_epochs_of_many_breakers_come_in_one_answer(lasting_server: RedisServer, name: str) -> None:
    server = Server(lasting_server.url, 5.0, {})
    first, second = Breaker(server, f"{name} 1"), Breaker(server, f"{name} 2")
    epoch = second.move("open").epoch
    assert server.epochs([first.keys[0], second.keys[0]]) == ["0", epoch]
