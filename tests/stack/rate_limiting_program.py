"""A program with a limit that it shares through Redis, and a queue that takes what comes; it does what it is told, line by line."""

from __future__ import annotations

import sys

from opentelemetry import trace

from spanguard import telemetry
from spanguard.rate_limiter import BackpressureManager, TokenBucketLimiter


def main(redis_url: str) -> None:
    """Ask the limiter at each `ask`, put as many items as `put <number>` says; end with standard input."""
    running = telemetry.setup(service_name="rate_limiting_under_test", environment="testing")
    limiter = TokenBucketLimiter(
        rate=1000, burst=1000, storage=redis_url, fallback_share=0.5, storage_timeout=2.0, name="shared"
    )
    queue: BackpressureManager[int] = BackpressureManager(10, "drop_oldest", name="bounded")
    for line in sys.stdin:
        word, _, number = line.strip().partition(" ")
        with trace.get_tracer("program").start_as_current_span(word):
            if word == "ask":
                limiter.acquire()
            for item in range(int(number or 0)):
                queue.put(item)
        running.force_flush()
    running.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
