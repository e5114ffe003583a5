"""A program whose policies are in trouble, for tests that wait for the alerts on them: a line breaks it, a second one mends it."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

from opentelemetry import trace

from spanguard import telemetry
from spanguard.error_handling import Bulkhead, BulkheadFullError, DeadLetter, DeadLetterQueue, Retry
from spanguard.testing import FakeClock

TWO_DAYS = 172_800.0
CALLS = 40


def main(directory: Path) -> None:
    """Wait for a line, bring every policy into trouble; wait for another, and put the dead letters right."""
    running = telemetry.setup(service_name="troubled", environment="test")
    # Both gauges must have been seen on the empty queues before anything can be said to grow.
    flooded = DeadLetterQueue(f"sqlite:///{directory / 'letters.db'}", name="flooded")
    forgotten = DeadLetterQueue(f"sqlite:///{directory / 'letters.db'}", name="forgotten")
    flooded.handler("order")(replay)
    policies = Retry(name="hopeless", base_delay=0.001), Bulkhead(1, name="crowded")
    input()
    spend_the_budget(policies[0])
    crowd(policies[1])
    for _ in range(CALLS):
        store(flooded)
    letter = forget_a_letter(directory)
    input()
    assert flooded.replay().replayed == CALLS
    forgotten.discard(letter)
    input()
    running.shutdown()
    flooded.close()
    forgotten.close()


def spend_the_budget(retry: Retry) -> None:
    """Fail so often that the default budget (3 retries a second) is spent after a third of the calls."""
    for _ in range(CALLS):
        with contextlib.suppress(ConnectionError):
            retry.call(fail)


def fail() -> None:
    """Stand for a call that fails."""
    raise ConnectionError("away")


def crowd(bulkhead: Bulkhead) -> None:
    """Come with calls while the only permit is taken."""
    with bulkhead.calling():
        for _ in range(CALLS):
            with contextlib.suppress(BulkheadFullError):
                bulkhead.call(int)


def forget_a_letter(directory: Path) -> int:
    """Store a letter as it would have been stored two days ago."""
    queue = DeadLetterQueue(
        f"sqlite:///{directory / 'letters.db'}", name="forgotten", clock=FakeClock(epoch=time.time() - TWO_DAYS)
    )
    letter = store(queue)
    queue.close()
    return letter


def store(queue: DeadLetterQueue) -> int:
    """Store what failed for good, in a trace."""
    with trace.get_tracer("program").start_as_current_span("order"):
        return queue.add("order", {"number": 1}, error=ConnectionError("away"))


def replay(letter: DeadLetter) -> None:
    """Stand for an operation that succeeds now."""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
