"""Processes that share a breaker, each under the orders of the test."""

from __future__ import annotations

import faulthandler
import multiprocessing
import threading
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Any

import pybreaker

from spanguard.error_handling import CircuitBreaker, CircuitBreakerError, RedisBreakerStorage

_fork = multiprocessing.get_context("fork")


class Worker:
    """A forked process with a breaker of its own. `do` has it run one order and returns the result."""

    def __init__(self, url: str, name: str, **settings: Any) -> None:
        self._connection, theirs = _fork.Pipe()
        self.process = _fork.Process(target=_run, args=(theirs, url, name, settings), daemon=True)
        self.process.start()
        theirs.close()

    def do(self, order: str, *arguments: Any) -> Any:
        """Run an order to its end."""
        self.begin(order, *arguments)
        return self.result()

    def begin(self, order: str, *arguments: Any) -> None:
        """Give an order."""
        self._connection.send((order, arguments))

    def result(self) -> Any:
        """Return what became of it."""
        assert self._connection.poll(30), "the worker hangs"
        return self._connection.recv()

    def state(self) -> str:
        """Return the state of its breaker."""
        return str(self.do("state"))

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.process.kill()
        self.process.join()


def fail() -> None:
    """Stand for a call that fails."""
    raise ConnectionError


def outcome_of(breaker: CircuitBreaker, function: Callable[[], object]) -> str:
    """Return how a guarded call ends; anything but success, its own failure and a refusal is an error of the test."""
    try:
        breaker.call(function)
    except ConnectionError:
        return "failed"
    except CircuitBreakerError as error:
        return "failed" if error.__cause__ else "refused"
    return "succeeded"


class _Orders:
    def __init__(self, url: str, name: str, settings: dict[str, Any]) -> None:
        storage_settings = {key: settings.pop(key) for key in ("timeout",) if key in settings}
        self.storage = RedisBreakerStorage(url, name, **storage_settings)
        self.breaker = CircuitBreaker(name=name, state_storage=self.storage, **settings)
        self._probes = ExitStack()

    def state(self) -> str:
        return self.breaker.current_state

    def status(self) -> str:
        return self.storage.status

    def retry_after(self) -> float:
        return self.breaker.stats().retry_after

    def succeed(self) -> str:
        return outcome_of(self.breaker, int)

    def fail(self, times: int = 1) -> list[str]:
        return [outcome_of(self.breaker, fail) for _ in range(times)]

    def hold(self, threads: int) -> int:
        """Begin as many calls as get through, side by side, and keep them under way; return how many did."""
        gate = threading.Barrier(threads)
        held: list[ExitStack] = []

        def enter() -> None:
            block = ExitStack()
            gate.wait()
            try:
                block.enter_context(self.breaker.calling())
            except CircuitBreakerError:
                return
            held.append(block)

        runners = [threading.Thread(target=enter) for _ in range(threads)]
        for runner in runners:
            runner.start()
        for runner in runners:
            runner.join()
        for block in held:
            self._probes.push(block)
        return len(held)

    def let_go(self) -> None:
        """Let the calls under way succeed."""
        self._probes.close()

    def storm(self, openings: int) -> dict[str, int]:
        """Call until the breaker has opened so often; two of three calls fail. Return how often each outcome came about."""
        outcomes = {"succeeded": 0, "failed": 0, "refused": 0, "degraded": 0}
        number = opened = 0
        while opened < openings:
            number += 1
            was_open = self.breaker.current_state == "open"
            outcomes[outcome_of(self.breaker, fail if number % 3 else int)] += 1
            opened += not was_open and self.breaker.current_state == "open"
            outcomes["degraded"] += self.storage.status == "degraded"
        return outcomes


def _run(orders: Connection, url: str, name: str, settings: dict[str, Any]) -> None:
    faulthandler.dump_traceback_later(20)  # tells where it hangs, before the test gives it up
    obey = _Orders(url, name, settings)
    while True:
        faulthandler.cancel_dump_traceback_later()
        order, arguments = orders.recv()
        faulthandler.dump_traceback_later(20)
        try:
            orders.send(getattr(obey, order)(*arguments))
        except (RuntimeError, OSError, pybreaker.CircuitBreakerError) as error:
            orders.send(repr(error))
