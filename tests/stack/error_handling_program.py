"""A program that uses what the application does not, so that the servers have something to show of it."""

from __future__ import annotations

import contextlib
import select
import sys
import threading

from pydantic import BaseModel, ValidationError

from spanguard import telemetry
from spanguard.error_handling import CircuitBreaker, RedisBreakerStorage
from spanguard.instrumentation.pydantic import PydanticInstrumentor
from spanguard.rate_limiter import AdaptiveLimiter, BackpressureManager
from spanguard.rate_limiter.rules import bucket
from spanguard.rate_limiter.storages import Fallback, decider_at
from spanguard.validation import validate_string

ROUND = 0.5  # seconds


class Order(BaseModel):
    """What comes in."""

    number: int


def main() -> None:
    """Call again and again until standard input ends: a rate needs values that grow from scrape to scrape."""
    running = telemetry.setup(service_name="error_handling_under_test", environment="testing")
    # Nobody listens there: breaker and limiter go on with what this process has, and say so.
    shared = CircuitBreaker(name="orders", state_storage=RedisBreakerStorage("redis://127.0.0.1:1/0", "orders"))
    rules = (bucket("orders", "token_bucket", 100, 100),)
    limiter = Fallback("orders", rules, 0.5).around(decider_at("redis://127.0.0.1:1", rules, name="orders"))
    adaptive = AdaptiveLimiter(initial=1, maximum=1, queue=5, window=ROUND, window_calls=1, name="orders")
    queue: BackpressureManager[int] = BackpressureManager(10, "drop_oldest", name="orders")
    PydanticInstrumentor().instrument()
    while not select.select([sys.stdin], [], [], ROUND)[0]:
        shared.call(int)
        let_one_wait(adaptive)
        for number in range(11):
            queue.put(number)
        queue.get()
        limiter.decide("key")
        take_in("two tickets", "' OR 1=1 -- ")
        running.force_flush()
    running.shutdown()


def take_in(*texts: str) -> None:
    """Validate what came in, and find that none of it is an order."""
    for text in texts:
        validate_string(text, threats="block")
        with contextlib.suppress(ValidationError):
            Order.model_validate({"number": text})


def let_one_wait(guard: AdaptiveLimiter) -> None:
    """Hold the only permit until another thread stands in the queue for it."""
    waiter = threading.Thread(target=guard.call, args=(int,))
    with guard.calling():
        waiter.start()
        while guard.stats().queued == 0:
            threading.Event().wait(0.001)
    waiter.join()


if __name__ == "__main__":
    main()
