"""`python -m tge_monitor.demo`: exit code 0 only if every step was really observed."""

from __future__ import annotations

import argparse
import sys

from spanguard import SpanguardError
from tge_monitor.demo.processes import DemoError
from tge_monitor.demo.screen import NotObservedError, Screen
from tge_monitor.demo.script import local_stage, play, stack_stage

EXIT_NOT_OBSERVED = 1
EXIT_BAD_INPUT = 2


def main() -> int:
    """Play the demonstration; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tge_monitor.demo", description=__doc__)
    parser.add_argument(
        "--stack", action="store_true", help="send the signals through the real stack and fetch them back"
    )
    with_stack = parser.parse_args().stack
    screen = Screen()
    screen.title("A fault in a real application, seen through its guards")
    try:
        with (stack_stage if with_stack else local_stage)(screen) as stage:
            play(screen, stage)
    except (NotObservedError, DemoError) as error:
        screen.failed(str(error))
        return EXIT_NOT_OBSERVED
    except SpanguardError as error:
        screen.failed(str(error))
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        screen.failed("interrupted; everything that was started is stopped")
        return EXIT_NOT_OBSERVED
    screen.next_steps(with_stack=with_stack)
    return 0


if __name__ == "__main__":
    sys.exit(main())
