"""A program to which inputs come from outside; it is sent what it is told, line by line."""

from __future__ import annotations

import sys

from opentelemetry import trace

from spanguard import telemetry
from spanguard.validation import validate_string

TEXTS = {"harmless": "two tickets for Friday", "attack": "' OR 1=1 -- "}


def main() -> None:
    """Validate `harmless <number>` or `attack <number>` inputs at each line; end with standard input."""
    running = telemetry.setup(service_name="validation_under_test", environment="testing")
    for line in sys.stdin:
        word, _, number = line.strip().partition(" ")
        with trace.get_tracer("program").start_as_current_span(word):
            for _ in range(int(number)):
                validate_string(TEXTS[word], threats="block")
        running.force_flush()
    running.shutdown()


if __name__ == "__main__":
    main()
