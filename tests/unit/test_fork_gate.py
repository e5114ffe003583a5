"""A fork waits for an import that another thread of ours is in the middle of: its child could never import that module."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from fractions import Fraction

import pytest

from spanguard.error_handling.circuit_breaker.shared.server import Server
from spanguard.fork_gate import IMPORTS, ForkGate
from spanguard.rate_limiter.rules import Rule
from spanguard.rate_limiter.storages import decider_at

URL = "redis://127.0.0.1:1"


class Finder:
    """Looks whether the gate is held where `limits` looks for the module `valkey`, as it does for each client anew."""

    def __init__(self) -> None:
        self.was_held: list[bool] = []

    def find_spec(self, name: str, *_: object) -> None:
        if name == "valkey":
            self.was_held.append(IMPORTS._inside > 0)


def client_of_a_shared_breaker() -> None:
    Server(URL, 0.1, {})


def client_of_a_shared_limiter() -> None:
    decider_at(URL, (Rule("token_bucket", 1, Fraction(1)),), name="api")


@pytest.mark.parametrize("build", [client_of_a_shared_breaker, client_of_a_shared_limiter])
def test_a_client_is_built_where_no_fork_can_be(monkeypatch: pytest.MonkeyPatch, build: Callable[[], None]) -> None:
    finder = Finder()
    monkeypatch.delitem(sys.modules, "valkey", raising=False)
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    build()
    assert finder.was_held
    assert all(finder.was_held)


def test_a_fork_waits_for_those_who_are_inside() -> None:
    gate, has_forked = ForkGate(patience=3600), threading.Event()

    def fork() -> None:
        gate.before_fork()
        has_forked.set()

    with gate:
        thread = threading.Thread(target=fork)
        thread.start()
        assert not has_forked.wait(0.05)
    assert has_forked.wait(10)
    thread.join(10)


def test_a_fork_waits_no_longer_than_its_patience() -> None:
    gate, is_inside, is_over = ForkGate(patience=0.01), threading.Event(), threading.Event()

    def stay() -> None:
        with gate:
            is_inside.set()
            is_over.wait(10)

    thread = threading.Thread(target=stay)
    thread.start()
    assert is_inside.wait(10)
    gate.before_fork()
    assert thread.is_alive()
    gate.after_fork_in_parent()
    is_over.set()
    thread.join(10)


def test_a_thread_that_forks_inside_does_not_wait_for_itself() -> None:
    gate = ForkGate(patience=3600)
    with gate:
        gate.before_fork()
        with gate:
            gate.after_fork_in_parent()


def test_nobody_comes_in_while_a_fork_is_under_way() -> None:
    gate, came = ForkGate(patience=1), threading.Event()

    def come() -> None:
        with gate:
            came.set()

    gate.before_fork()
    thread = threading.Thread(target=come)
    thread.start()
    assert not came.wait(0.05)
    gate.after_fork_in_parent()
    assert came.wait(10)
    thread.join(10)
