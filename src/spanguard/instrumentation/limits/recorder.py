"""Count what the strategies of `limits` decide: one int a hit, and more only for a rejection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from threading import get_ident
from typing import Any, Final

from spanguard import semconv
from spanguard.instrumentation.limits.signals import REJECTED, LimiterSignals
from spanguard.telemetry.internal import note_failure

_MOST_KNOWN: Final = 1000

Kind = tuple[int, type, type, int, int]
"""A thread, a strategy, and what identifies a limit cheaply: an item's own hash and equality cost as much as a hit."""

Known = dict[Kind, LimiterSignals | None]
"""What to count a hit of this kind under; None where it is part of another hit."""


class KnowsRetryAfter(ABC):
    """A strategy that can tell, without asking its storage again, when a request would be admitted."""

    @abstractmethod
    def told_retry_after(self) -> float | None:
        """Return seconds until the request would be admitted that this thread or task was just refused; None if none was."""


class HitRecorder:
    """Knows what to count a hit under.

    Each thread has cells of its own, so that nobody holds a lock: that would be half the price of counting. A cell is
    bumped in one line that calls nothing, so no signal handler and no other greenlet comes in between.

    Args:
        strategies: `limits`' own table of strategies by name; what is registered later is found as well.
    """

    def __init__(self, strategies: dict[str, Any]) -> None:
        self._strategies = strategies

    def meet(self, known: Known, strategy: Any, item: Any, *, counts: bool) -> LimiterSignals | None:
        """Find what a hit by this thread counts under, and remember it in `known`.

        Args:
            known: what is remembered.
            strategy: the strategy that was hit.
            item: the limit that was hit.
            counts: False for a `hit` that is part of another.
        """
        kind = (get_ident(), strategy.__class__, item.__class__, item.amount, item.multiples)
        if len(known) >= _MOST_KNOWN:
            # What was counted stays in the totals; a limit that is still in use is met again.
            known.clear()
        # The limit alone, as in "10 per 1 minute": a namespace or an identifier may name a person.
        signals = known[kind] = LimiterSignals(str(item), self._name_of(kind[1])) if counts else None
        return signals

    def _name_of(self, strategy: type) -> str:
        for name, registered in self._strategies.items():
            value = name.replace("-", "_")
            if issubclass(strategy, registered) and value in semconv.LIMITER_STRATEGY.values:
                return value
        return "other"


def count_rejection(signals: LimiterSignals, strategy: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Count a rejection and tell of it. Never raises."""
    try:
        signals.rejected.value += 1
        item = args[0] if args else kwargs["item"]
        cost = kwargs.get("cost", 1)
        retry_after = strategy.told_retry_after() if isinstance(strategy, KnowsRetryAfter) else None
        signals.refused(REJECTED, cost=cost, limit=item.amount, retry_after=retry_after)
    except Exception as error:  # noqa: BLE001 - telemetry never breaks the call
        note_failure("limits", error)
