"""The spans, which gather what several guards write on them."""

from __future__ import annotations

from typing import Final

from spanguard.semconv.adaptive_limit import ADAPTIVE_OUTCOME
from spanguard.semconv.backpressure import BACKPRESSURE_OUTCOME
from spanguard.semconv.bulkhead import BULKHEAD_OUTCOME
from spanguard.semconv.circuit_breaker import BREAKER_OUTCOME, BREAKER_RETRY_AFTER, BREAKER_STATE
from spanguard.semconv.common import ERROR_TYPE, OUTCOME, POLICY_NAME
from spanguard.semconv.dead_letter import DEAD_LETTER_ID, DEAD_LETTER_OPERATION, DEAD_LETTER_QUEUE, DEAD_LETTER_REPLAYS
from spanguard.semconv.degradation import DEGRADATION_SOURCE
from spanguard.semconv.guard import TIME_IN_QUEUE
from spanguard.semconv.model import Span
from spanguard.semconv.rate_limiting import LIMITER_RESULT, LIMITER_RETRY_AFTER, LIMITER_STRATEGY
from spanguard.semconv.retry import RETRY_ATTEMPT, RETRY_ATTEMPTS, RETRY_REASON
from spanguard.semconv.timeout import TIMEOUT_OUTCOME

GUARD_SPAN: Final = Span(
    "guard",
    "One guarded call: the whole pipeline of policies around one operation. `guard <policy name>`, kind INTERNAL; status ERROR only where the caller saw an error.",
    (POLICY_NAME, OUTCOME),
    (
        BREAKER_STATE,
        BREAKER_OUTCOME,
        BREAKER_RETRY_AFTER,
        RETRY_ATTEMPTS,
        RETRY_REASON,
        TIMEOUT_OUTCOME,
        BULKHEAD_OUTCOME,
        ADAPTIVE_OUTCOME,
        LIMITER_RESULT,
        LIMITER_RETRY_AFTER,
        LIMITER_STRATEGY,
        TIME_IN_QUEUE,
        DEGRADATION_SOURCE,
        DEAD_LETTER_QUEUE,
        ERROR_TYPE,
    ),
)
ATTEMPT_SPAN: Final = Span(
    "attempt",
    "An attempt after the first. `attempt <policy name>`, kind INTERNAL, under the span of the guarded call or the current one; never a root. Guards under the retry write on it what they write on the span of the call.",
    (POLICY_NAME, OUTCOME, RETRY_ATTEMPT),
    (
        BREAKER_STATE,
        BREAKER_OUTCOME,
        BREAKER_RETRY_AFTER,
        TIMEOUT_OUTCOME,
        BULKHEAD_OUTCOME,
        ADAPTIVE_OUTCOME,
        ERROR_TYPE,
    ),
)
BACKOFF_SPAN: Final = Span(
    "backoff",
    "The wait between two attempts. `backoff <policy name>`, kind INTERNAL, never a root; not failed, though it tells the error that it follows.",
    (POLICY_NAME, RETRY_ATTEMPT),
    (ERROR_TYPE,),
)
WAIT_SPAN: Final = Span(
    "wait",
    "The time a request spent in a limiter's queue. `wait <policy name>`, kind INTERNAL.",
    (POLICY_NAME, LIMITER_STRATEGY, LIMITER_RESULT),
)
CALL_SPAN: Final = Span(
    "call",
    "A call through an instrumented library's guard that failed or was refused. `call <policy name>`, kind INTERNAL, under the span that was current; never a root.",
    (POLICY_NAME, BREAKER_OUTCOME, BREAKER_STATE),
    (ERROR_TYPE,),
)
REPLAY_SPAN: Final = Span(
    "replay",
    "One replay of a dead letter, linked to the span that failed. `replay <queue name>`, kind INTERNAL; status ERROR where the handler failed.",
    (DEAD_LETTER_QUEUE, DEAD_LETTER_ID, DEAD_LETTER_OPERATION, DEAD_LETTER_REPLAYS),
    (ERROR_TYPE,),
)

QUEUE_SPAN: Final = Span(
    "queue",
    "The time a call spent in the queue of a bulkhead or an adaptive limiter, or a producer before a full one. `queue <policy name>`, kind INTERNAL, never a root.",
    (POLICY_NAME,),
    (BULKHEAD_OUTCOME, ADAPTIVE_OUTCOME, BACKPRESSURE_OUTCOME),
)
FALLBACK_SPAN: Final = Span(
    "fallback",
    "A function that stood in for a call that failed. `fallback <policy name>`, kind INTERNAL, under the span of the guarded call; status ERROR where it failed too.",
    (POLICY_NAME, OUTCOME),
    (ERROR_TYPE,),
)

ANNOTATIONS: Final = (
    LIMITER_RESULT,
    LIMITER_RETRY_AFTER,
    LIMITER_STRATEGY,
    BREAKER_STATE,
    BREAKER_OUTCOME,
    RETRY_ATTEMPTS,
    RETRY_REASON,
    TIMEOUT_OUTCOME,
    BULKHEAD_OUTCOME,
    ADAPTIVE_OUTCOME,
    BACKPRESSURE_OUTCOME,
    DEGRADATION_SOURCE,
    DEAD_LETTER_QUEUE,
    POLICY_NAME,
)
"""Attributes that a decision may write on a span of the application that happens to be current."""
