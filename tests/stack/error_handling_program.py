"""A program that uses what the application does not, so that the servers have something to show of it."""

from __future__ import annotations

import select
import sys

from spanguard import telemetry
from spanguard.error_handling import CircuitBreaker, RedisBreakerStorage

ROUND = 0.5  # seconds


def main() -> None:
    """Call again and again until standard input ends: a rate needs values that grow from scrape to scrape."""
    running = telemetry.setup(service_name="error_handling_under_test", environment="testing")
    # Nobody listens there: the breaker goes on with the state of this process, and says so.
    shared = CircuitBreaker(name="orders", state_storage=RedisBreakerStorage("redis://127.0.0.1:1/0", "orders"))
    while not select.select([sys.stdin], [], [], ROUND)[0]:
        shared.call(int)
        running.force_flush()
    running.shutdown()


if __name__ == "__main__":
    main()
