"""What is said of options that are wrong, in the same words for every type of input."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterator

from spanguard.errors import ConfigurationError


def check(name: str, problems: Iterator[str]) -> None:
    """Refuse the options of a type of input if anything is wrong with them.

    Raises:
        ConfigurationError: all that is wrong, in one message.
    """
    found = [f"{name}: {problem}" for problem in problems]
    if found:
        raise ConfigurationError(found)


def is_whole(value: object) -> bool:
    """Tell whether it is a whole number, which a boolean is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def bad_seconds(name: str, value: object) -> Iterator[str]:
    """Yield what is wrong with an option that is a time."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
        yield f"{name} is {value!r}; it must be seconds, above 0 and finite."


def bad_flag(name: str, value: object) -> Iterator[str]:
    """Yield what is wrong with an option that is on or off."""
    if not isinstance(value, bool):
        yield f"{name} is {value!r}; it must be True or False."


def bad_range(least_name: str, least: int, most_name: str, most: int, cap: int) -> Iterator[str]:
    """Yield what is wrong with the least and the greatest of a number of things."""
    for name, value in ((least_name, least), (most_name, most)):
        if not is_whole(value) or not 0 <= value <= cap:
            yield f"{name} is {value!r}; it must be a whole number from 0 to {cap}."
            return
    if least > most:
        yield f"{least_name} is {least}, above {most_name}, which is {most}; swap or change them."


def one_of(name: str, value: object, known: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with an option that is one of a few words."""
    if not isinstance(value, str) or value not in known:
        yield f"{name} is {value!r}; {hint(value, known)}there are: {', '.join(known)}."


def hint(word: object, known: Collection[str]) -> str:
    """Return a question that names the nearest of the known words, or nothing if none is near."""
    close = difflib.get_close_matches(word[:100], known, n=1) if isinstance(word, str) else []
    return f"did you mean {close[0]!r}? " if close else ""
