"""What goes to the script of a server and what its answer says, in whole numbers that doubles hold exactly."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import resources
from typing import Final, Protocol

from spanguard.rate_limiter.engines import combine
from spanguard.rate_limiter.rules import Rule, Strategy
from spanguard.rate_limiter.status import RateLimitStatus

SCRIPT: Final = resources.files(__package__).joinpath("decide.lua").read_text("utf-8")

MICROSECONDS: Final = 1_000_000
_EXACT: Final = 2**52
"""Half of what a double counts to one by one, so that a sum of two stays exact."""
_LONGEST_KEY: Final = 200

_BUCKET, _LOG, _ESTIMATE = 1, 2, 3
_MANY_ARGUMENTS: Final = 1000

Arguments = tuple[int, ...]
Numbers = Sequence[int]


class _RuleOnWire(Protocol):
    """One rule as the script knows it."""

    @property
    def suffix(self) -> str:
        """What the names of its states end with."""
        ...

    def arguments(self, tokens: int) -> Arguments:
        """Return its kind and six numbers."""
        ...

    def status(self, numbers: Numbers, tokens: int, *, taken: bool) -> RateLimitStatus:
        """Return what the rule says to so many tokens, from how it was before they were taken."""
        ...


class Wire:
    """The rules of one decider on the wire.

    Args:
        rules: what is kept to, together.
        prefix: what every key begins with.
    """

    __slots__ = ("_packed", "_prefix", "_rules", "limit", "rules")

    def __init__(self, rules: tuple[Rule, ...], prefix: str) -> None:
        self.rules = rules
        self.limit = min(rule.limit for rule in rules)
        self._prefix = prefix
        self._packed: dict[int, bytes] = {}
        self._rules = [_on_wire(rule, f"{rule.strategy}:{index}") for index, rule in enumerate(rules)]

    def keys(self, key: str) -> list[str]:
        """Return the names of the states of a key, all in one slot of a cluster."""
        tag = self.tag(key)
        return [f"{tag}:{rule.suffix}" for rule in self._rules]

    def tag(self, key: str) -> str:
        """Return what the names of a key's states begin with: the key is what a cluster looks at."""
        if len(key) > _LONGEST_KEY:
            key = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        # Braces of the key's own would end the tag too early, and a lone surrogate has no place on the wire.
        safe = key.replace("%", "%25").replace("{", "%7B").replace("}", "%7D").encode("utf-8", "backslashreplace")
        return f"{self._prefix}:{{{safe.decode('utf-8')}}}"

    def arguments(self, tokens: int, *, take: bool) -> bytes:
        """Return the argument of the script."""
        asked = tokens if take else -tokens
        found = self._packed.get(asked)
        if found is None:
            if len(self._packed) >= _MANY_ARGUMENTS:
                self._packed.clear()
            numbers = [tokens, int(take), *(number for rule in self._rules for number in rule.arguments(tokens))]
            found = self._packed[asked] = struct.pack(f"<{len(numbers)}d", *numbers)
        return found

    def status(self, answer: str | bytes, tokens: int, *, take: bool) -> RateLimitStatus:
        """Return what the answer says."""
        admitted, *numbers = map(int, answer.split())
        taken = take and admitted == 1
        if len(self._rules) == 1:
            return self._rules[0].status(numbers, tokens, taken=taken)
        return combine(
            [
                rule.status(numbers[3 * index : 3 * index + 3], tokens, taken=taken)
                for index, rule in enumerate(self._rules)
            ]
        )


@dataclass(frozen=True, slots=True)
class _Bucket:
    """A bucket: time in microseconds and a rest in parts of the rate's numerator."""

    suffix: str
    limit: int
    rate: Fraction
    queue: bool

    def arguments(self, tokens: int) -> Arguments:
        parts, per = self.rate.numerator, self.rate.denominator
        cost, cost_rest = divmod(tokens * per * MICROSECONDS, parts)
        capacity, capacity_rest = divmod(self.limit * per * MICROSECONDS, parts)
        return (_BUCKET, cost, cost_rest, capacity, capacity_rest, parts, per)

    def status(self, numbers: Numbers, tokens: int, *, taken: bool) -> RateLimitStatus:
        parts, unit = self.rate.numerator, self.rate.denominator * MICROSECONDS
        capacity = self.limit * unit
        before = numbers[0] * parts + numbers[1]
        after = before + tokens * unit
        debt = after if taken else before
        return RateLimitStatus(
            after <= capacity,
            (capacity - debt) // unit,
            max(after - capacity, 0) / (parts * MICROSECONDS) if not taken else 0.0,
            debt / (parts * MICROSECONDS),
            self.limit,
            before / (parts * MICROSECONDS) if self.queue and after <= capacity else 0.0,
        )


@dataclass(frozen=True, slots=True)
class _Log:
    """An exact sliding window."""

    suffix: str
    limit: int
    window: int

    def arguments(self, tokens: int) -> Arguments:  # noqa: ARG002 - what they are is the script's first argument
        return (_LOG, self.limit, self.window, 0, 0, 0, 0)

    def status(self, numbers: Numbers, tokens: int, *, taken: bool) -> RateLimitStatus:
        used, wait, reset = numbers
        return RateLimitStatus(
            used + tokens <= self.limit,
            max(self.limit - used - (tokens if taken else 0), 0),
            wait / MICROSECONDS,
            (self.window if taken else reset) / MICROSECONDS,
            self.limit,
        )


@dataclass(frozen=True, slots=True)
class _Estimate:
    """A sliding window estimated from two counters, in ticks so long that counts times ticks stay exact."""

    suffix: str
    limit: int
    window: int
    tick: int

    def arguments(self, tokens: int) -> Arguments:  # noqa: ARG002 - as above
        return (_ESTIMATE, self.limit, self.window, self.tick, 0, 0, 0)

    def status(self, numbers: Numbers, tokens: int, *, taken: bool) -> RateLimitStatus:
        current, before, left = numbers
        free = self.limit - current - -(-before * left // self.window)
        current += tokens if taken else 0
        reset = left + self.window if current else left if before else 0
        return RateLimitStatus(
            tokens <= free,
            max(free - (tokens if taken else 0), 0),
            0.0 if tokens <= free else self._wait(current, before, left, tokens) * self.tick / MICROSECONDS,
            reset * self.tick / MICROSECONDS,
            self.limit,
        )

    def _wait(self, current: int, before: int, left: int, tokens: int) -> int:
        room = self.limit - current - tokens
        if room >= 0:
            # Still in this window: the one before must have slid out far enough.
            return left - room * self.window // before
        return left + self.window - min((self.limit - tokens) * self.window // current, self.window)


def _on_wire(rule: Rule, suffix: str) -> _RuleOnWire:
    if rule.strategy in _BUCKETS:
        return _Bucket(suffix, rule.limit, _countable(rule), rule.strategy == "leaky_bucket_queue")
    window = math.ceil(rule.period * MICROSECONDS)
    if rule.strategy == "sliding_window_log":
        return _Log(suffix, rule.limit, window)
    tick = 1
    while rule.limit * -(-window // tick) > _EXACT:
        tick *= 10
    return _Estimate(suffix, rule.limit, -(-window // tick), tick)


_BUCKETS: Final[frozenset[Strategy]] = frozenset({"token_bucket", "leaky_bucket", "leaky_bucket_queue"})


def _countable(rule: Rule) -> Fraction:
    """Return the rate, or the nearest that a double can count in parts of; they differ by less than a float can tell."""
    rate = rule.rate
    if max(rate.numerator, rate.denominator) > _EXACT:
        rate = rate.limit_denominator(_EXACT // max(math.ceil(rate), 1))
    return rate
