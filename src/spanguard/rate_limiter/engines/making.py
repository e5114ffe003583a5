"""Which engine keeps which rules."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Final

from spanguard.rate_limiter.deciding import Engine
from spanguard.rate_limiter.engines.all_of import AllOf
from spanguard.rate_limiter.engines.buckets import Buckets, Queues
from spanguard.rate_limiter.engines.table import Table
from spanguard.rate_limiter.engines.window_estimates import WindowEstimates
from spanguard.rate_limiter.engines.window_logs import WindowLogs
from spanguard.rate_limiter.rules import Rule, Strategy

_ENGINES: Final[Mapping[Strategy, Callable[[Rule, Container[str]], Table[Any]]]] = {
    "token_bucket": Buckets,
    # As a meter, a leaky bucket is the same thing seen from the other side: full where the token bucket is empty.
    "leaky_bucket": Buckets,
    "leaky_bucket_queue": Queues,
    "sliding_window_log": WindowLogs,
    "sliding_window_estimate": WindowEstimates,
}


def engine_for(rules: Sequence[Rule], held: Container[str] = ()) -> Engine:
    """Return the engine that keeps to all the rules.

    Args:
        rules: one or more.
        held: keys that are not to be dropped, however idle.
    """
    engines = [_ENGINES[rule.strategy](rule, held) for rule in rules]
    return engines[0] if len(engines) == 1 else AllOf(engines)
