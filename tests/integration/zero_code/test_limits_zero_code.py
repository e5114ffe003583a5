"""`opentelemetry-instrument python app.py`: an app that knows nothing of spanguard emits the limiter's signals over OTLP."""

from __future__ import annotations

from integration.zero_code.conftest import Run
from spanguard import semconv
from spanguard.testing import OtlpReceiver

APP = """
import asyncio
import limits
from limits import strategies, storage
from limits.aio import strategies as aio_strategies
from opentelemetry import trace

item = limits.parse("2 per minute")
limiter = strategies.MovingWindowRateLimiter(storage.storage_from_string("memory://"))
async_limiter = aio_strategies.FixedWindowRateLimiter(storage.storage_from_string("async+memory://"))

async def ask():
    return [await async_limiter.hit(item, "ben@example.org") for _ in range(5)]

with trace.get_tracer("app").start_as_current_span("request"):
    print([limiter.hit(item, "anna@example.org") for _ in range(3)], asyncio.run(ask()))
"""


def test_an_unchanged_app_emits_the_signals(run: Run, otlp_receiver: OtlpReceiver) -> None:
    result = run(APP)
    assert result.stdout == "[True, True, False] [True, True, False, False, False]\n", result.stderr
    signals = otlp_receiver.signals
    counted = {
        (point.attributes[semconv.LIMITER_STRATEGY.key], point.attributes[semconv.LIMITER_RESULT.key]): point.value
        for point in signals.points(semconv.LIMITER_REQUESTS_METRIC.name)
    }
    assert counted == {
        ("moving_window", "acquired"): 2,
        ("moving_window", "rejected"): 1,
        ("fixed_window", "acquired"): 2,
        ("fixed_window", "rejected"): 3,
    }
    (span,) = signals.spans("request")
    events = signals.events(semconv.LIMITER_REJECTED_EVENT.name)
    assert [(event.trace_id, event.span_id) for event in events] == [(span.trace_id, span.span_id)] * 4
    assert {event.attributes[semconv.POLICY_NAME.key] for event in events} == {"2 per 1 minute"}
    assert span.attributes[semconv.LIMITER_RESULT.key] == "rejected"
    assert {point.resource["service.name"] for point in signals.points()} == {"shop"}
    assert "example.org" not in f"{signals.spans()} {signals.events()} {signals.points()}"


def test_it_can_be_switched_off_by_its_name(run: Run, otlp_receiver: OtlpReceiver) -> None:
    result = run(APP, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="limits")
    assert result.stdout == "[True, True, False] [True, True, False, False, False]\n", result.stderr
    assert otlp_receiver.signals.spans("request")
    assert not otlp_receiver.signals.points(semconv.LIMITER_REQUESTS_METRIC.name)
    assert not otlp_receiver.signals.events()
