"""What is wrong with the settings of a bulkhead."""

from __future__ import annotations

from spanguard import forms
from spanguard.errors import ConfigurationError


def check(name: str, limit: object, queue: object, max_wait: object) -> None:
    """Refuse settings that are out of range or contradict each other.

    Raises:
        ConfigurationError: all that is wrong, in one message.
    """
    problems = []
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        problems.append(f"limit is {limit!r}; it must be a whole number of at least 1.")
    if not isinstance(queue, int) or isinstance(queue, bool) or queue < 0:
        problems.append(f"queue is {queue!r}; it must be a whole number of at least 0.")
    if max_wait is not None:
        problem = forms.wrong_seconds("max_wait", max_wait, hint=", or None for no end")
        if problem:
            problems.append(problem)
        if queue == 0:
            problems.append(
                f"max_wait is {max_wait!r}, but queue is 0, so nobody would wait; set queue or leave it out."
            )
    if problems:
        raise ConfigurationError([f"bulkhead {name!r}: {problem}" for problem in problems])
