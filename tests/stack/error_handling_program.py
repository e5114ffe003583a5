"""A program that makes use of the policies that the application has no use for, so that the servers have something to show of each."""

from __future__ import annotations

import select
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from opentelemetry import trace

from spanguard import telemetry
from spanguard.error_handling import Bulkhead, DeadLetterQueue, ErrorHandler, Retry, Timeout, fallback
from spanguard.rate_limiter import AdaptiveLimiter, BackpressureManager
from spanguard.rate_limiter.rules import bucket
from spanguard.rate_limiter.storages import Fallback, decider_at

ROUND = 0.5  # seconds


def main(directory: Path) -> None:
    """Use each policy again and again until standard input ends: a rate needs values that grow from scrape to scrape."""
    running = telemetry.setup(service_name="error_handling_under_test", environment="testing")
    retry = Retry(name="orders", base_delay=0.001)
    timeout = Timeout(5.0, name="orders")
    bulkhead = Bulkhead(1, queue=5, name="orders")
    letters = DeadLetterQueue(f"sqlite:///{directory / 'letters.db'}", name="orders")
    errors = ErrorHandler()
    # Nobody listens there: the limiter goes on with its local share.
    rules = (bucket("orders", "token_bucket", 100, 100),)
    limiter = Fallback("orders", rules, 0.5).around(decider_at("redis://127.0.0.1:1", rules, name="orders"))
    adaptive = AdaptiveLimiter(initial=1, maximum=1, queue=5, window=ROUND, window_calls=1, name="orders")
    queue: BackpressureManager[int] = BackpressureManager(10, "drop_oldest", name="orders")
    answer = fallback(lambda: "yesterday's", name="orders")(fail)
    while not select.select([sys.stdin], [], [], ROUND)[0]:
        with trace.get_tracer("program").start_as_current_span("order"):
            retry.call(fail_once_of(iter([ConnectionError("once")])))
        timeout.call(int)
        let_one_wait(bulkhead)
        let_one_wait(adaptive)
        for number in range(11):
            queue.put(number)
        queue.get()
        answer()
        limiter.decide("key")
        letters.add("order", {"number": 1}, error=ConnectionError("for good"))
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


def let_one_wait(guard: Bulkhead | AdaptiveLimiter) -> None:
    """Hold the only permit until another thread stands in the queue for it."""
    waiter = threading.Thread(target=guard.call, args=(int,))
    with guard.calling():
        waiter.start()
        while guard.stats().queued == 0:
            threading.Event().wait(0.001)
    waiter.join()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
