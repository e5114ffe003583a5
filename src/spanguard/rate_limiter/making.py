"""From what people write to the rules of a limiter, and from rules to the engine that keeps them in this process."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from fractions import Fraction
from typing import Final

from limits import RateLimitItem, parse_many

from spanguard.errors import ConfigurationError
from spanguard.rate_limiter.deciding import Engine
from spanguard.rate_limiter.engines import engine_for
from spanguard.rate_limiter.pacing import Pace
from spanguard.rate_limiter.rules import STRATEGIES, Rule, Strategy, bucket, window

_BUCKETS: Final = frozenset({"token_bucket", "leaky_bucket", "leaky_bucket_queue"})
QUEUE: Final = "leaky_bucket_queue"


def parsed_rules(
    name: str | None, limits: str | RateLimitItem | Iterable[RateLimitItem], strategy: Strategy
) -> list[Rule]:
    """Return the rules of a limiter whose limits are given in the notation of the `limits` library, or as its items.

    Raises:
        ConfigurationError: they do not parse, there are none, the strategy is unknown, or a number is out of range.
    """
    named = name if name is not None else str(limits)
    if strategy not in STRATEGIES:
        raise ConfigurationError(
            f"limiter {named!r}: strategy is {strategy!r}; it must be one of {', '.join(map(repr, STRATEGIES))}"
        )
    items = _items(named, limits)
    if strategy == QUEUE and len(items) > 1:
        raise ConfigurationError(
            f"limiter {named!r}: {len(items)} limits were given; a leaky bucket as a queue has one pace, so give it one"
        )
    return [_rule(named, item, strategy) for item in items]


def same_shape(rules: Sequence[Rule], others: Sequence[Rule]) -> bool:
    """Tell whether one set of rules can take the other's place: as many, under the same strategies."""
    return [rule.strategy for rule in rules] == [rule.strategy for rule in others]


def local_engine(rules: Sequence[Rule], held: Container[str]) -> Engine:
    """Return the engine that keeps to the rules in this process."""
    return Pace(rules[0], held) if rules[0].strategy == QUEUE else engine_for(rules, held)


def _items(name: str, limits: str | RateLimitItem | Iterable[RateLimitItem]) -> list[RateLimitItem]:
    if isinstance(limits, RateLimitItem):
        return [limits]
    try:
        items = parse_many(limits) if isinstance(limits, str) else list(limits)
    except ValueError:
        items = []
    if not items or not all(isinstance(item, RateLimitItem) for item in items):
        raise ConfigurationError(
            f"limiter {name!r}: limits are {limits!r}; they must be such as '10/second' or '10/second; 1000/hour', "
            "or items of the limits library"
        )
    return items


def _rule(name: str, item: RateLimitItem, strategy: Strategy) -> Rule:
    if strategy in _BUCKETS and item.amount > 0:
        return bucket(name, strategy, Fraction(item.amount, item.get_expiry()), item.amount)
    return window(name, strategy, item.amount, item.get_expiry())
