"""What the tests of polls and of mails both ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from spanguard import semconv
from spanguard.testing import Signals
from tge_monitor.feeds import FeedSource
from tge_monitor.monitor import Round, Source

KEYWORDS = ("TGE", "token generation event", "token launch", "token sale")

Poll = Callable[[Source], Awaitable[Round]]
Feed = Callable[[str], FeedSource]


def breaker_calls(signals: Signals, name: str, outcome: str) -> float:
    wanted = {semconv.POLICY_NAME.key: name, semconv.BREAKER_OUTCOME.key: outcome}
    return signals.increase(semconv.BREAKER_CALLS_METRIC.name, wanted)
