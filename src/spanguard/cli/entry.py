"""The entry point: what can be said without the libraries of the `cli` extra is said here."""

from __future__ import annotations

import signal
import sys
from types import FrameType

from spanguard.errors import SpanguardError

EXIT_BAD_INPUT = 2
_EXIT_TERMINATED = 128 + signal.SIGTERM


def main() -> None:
    """Run the `spanguard` command on `sys.argv`.

    Exit codes: 0 done; 1 the answer is no (such as a stack that is not healthy); 2 wrong input or something needed is
    missing, said in one message on standard error.
    """
    try:
        from spanguard.cli.app import app  # noqa: PLC0415 - the extra may be missing
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in {"typer", "rich"}:
            raise
        _refuse(f"the command needs {library}, which is not installed: pip install 'spanguard[cli]'")
    # As an exception, so that a command ended half-way still cleans up after itself.
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app(prog_name="spanguard")
    except SpanguardError as error:
        _refuse(str(error))


def _refuse(message: str) -> None:
    print(f"spanguard: {message}", file=sys.stderr)  # noqa: T201 - this is the command's voice
    sys.exit(EXIT_BAD_INPUT)


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(_EXIT_TERMINATED)
