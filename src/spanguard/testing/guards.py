"""`guards_off()`: the code under test without its guards."""

from __future__ import annotations

from contextlib import AbstractContextManager

from spanguard.guard import guards


def guards_off() -> AbstractContextManager[None]:
    """Let every guard pass calls straight through while the block runs, in all threads of the process.

        with guards_off():
            fetch()                  # no limit, no retry, no span; an error is the function's own

    That goes for `guard` and `Guard`, also without a profile. Policies that are used by themselves stay on.
    """
    return guards.off()
