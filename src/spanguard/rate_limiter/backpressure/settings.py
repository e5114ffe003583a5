"""The settings of a bounded queue: its policies and its watermarks."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal, get_args

from spanguard.errors import ConfigurationError

Policy = Literal["block", "reject", "drop_oldest", "drop_newest", "priority"]
"""What a full queue does with one item more."""


def check(name: str, limit: int, policy: Policy, high: float, low: float) -> tuple[int, int]:
    """Return the high and the low watermark in items.

    Raises:
        ConfigurationError: settings are out of range or contradict each other; all are named.
    """
    problems = []
    if limit.__class__ is not int or limit < 1:
        problems.append(f"queue {name!r}: limit is {limit!r}; it must be a whole number of items, at least 1.")
    if policy not in get_args(Policy):
        known = ", ".join(map(repr, get_args(Policy)))
        problems.append(f"queue {name!r}: policy is {policy!r}; it must be one of {known}.")
    for setting, value in (("high_watermark", high), ("low_watermark", low)):
        if value.__class__ not in (int, float) or not 0 <= value <= 1:
            problems.append(f"queue {name!r}: {setting} is {value!r}; it must be a share of the limit, from 0 to 1.")
    if not problems and low >= high:
        problems.append(
            f"queue {name!r}: low_watermark is {low!r} and high_watermark {high!r}; the low one must be below the high one, "
            "or pressure would come and go with every item."
        )
    if problems:
        raise ConfigurationError(problems)
    # By way of the digits that were written: 0.55 of 100 is 55, and not a little more.
    return math.ceil(Fraction(repr(high)) * limit), math.floor(Fraction(repr(low)) * limit)
