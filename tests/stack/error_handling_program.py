"""A program that makes use of every policy of error handling, so that the servers have something to show of each."""

from __future__ import annotations

import contextlib
import select
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from opentelemetry import trace

from spanguard import telemetry
from spanguard.error_handling import (
    Bulkhead,
    CircuitBreaker,
    DeadLetterQueue,
    ErrorHandler,
    RedisBreakerStorage,
    Retry,
    Timeout,
    fallback,
)

ROUND = 0.5  # seconds


def main(directory: Path) -> None:
    """Use each policy again and again until standard input ends: a rate needs values that grow from scrape to scrape."""
    running = telemetry.setup(service_name="error_handling_under_test", environment="testing")
    retry = Retry(name="orders", base_delay=0.001)
    hopeless = Retry(name="refunds", base_delay=0.001)  # with a budget of its own, which it may spend
    timeout = Timeout(5.0, name="orders")
    bulkhead = Bulkhead(1, queue=5, name="orders")
    letters = DeadLetterQueue(f"sqlite:///{directory / 'letters.db'}", name="orders")
    letters.handler("order")(lambda _: None)
    errors = ErrorHandler()
    # Nobody listens there: the breaker goes on with the state of this process, and says so.
    storage = RedisBreakerStorage("redis://127.0.0.1:1/0", "orders")
    shared = CircuitBreaker(name="orders", state_storage=storage)
    answer = fallback(lambda: "yesterday's", name="orders")(fail)
    while not select.select([sys.stdin], [], [], ROUND)[0]:
        with trace.get_tracer("program").start_as_current_span("order"):
            retry.call(fail_once_of(iter([ConnectionError("once")])))
            with contextlib.suppress(ConnectionError):
                hopeless.call(fail)
        timeout.call(int)
        shared.call(int)
        let_one_wait(bulkhead)
        answer()
        letters.add("order", {"number": 1}, error=ConnectionError("for good"))
        letters.replay()
        errors.handle(ValueError("caught"))
        running.force_flush()
    running.shutdown()
    letters.close()


def fail_once_of(failures: Iterator[Exception]) -> Callable[[], None]:
    """Return what raises each failure once, and then succeeds."""

    def call() -> None:
        for failure in failures:
            raise failure

    return call


def fail() -> str:
    """Stand for a call that fails."""
    raise ConnectionError("away")


def let_one_wait(bulkhead: Bulkhead) -> None:
    """Hold the only permit until another thread stands in the queue for it."""
    waiter = threading.Thread(target=bulkhead.call, args=(int,))
    with bulkhead.calling():
        waiter.start()
        while bulkhead.stats().queued == 0:
            threading.Event().wait(0.001)
    waiter.join()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
