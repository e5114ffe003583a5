"""`opentelemetry-instrument python app.py`: an app that knows nothing of spanguard emits the limiter's signals over OTLP."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "app.py"
    path.write_text(APP)
    return path


def run(app: Path, receiver: OtlpReceiver, **environment: str) -> str:
    command = [str(Path(sys.executable).with_name("opentelemetry-instrument")), sys.executable, str(app)]
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_SERVICE_NAME": "zero-code",
        **environment,
    }
    finished = subprocess.run(
        command, env={**os.environ, **settings}, capture_output=True, text=True, timeout=60, check=True
    )
    assert "Traceback" not in finished.stderr
    return finished.stdout.strip()


def test_an_unchanged_app_emits_the_signals(app: Path, otlp_receiver: OtlpReceiver) -> None:
    printed = run(app, otlp_receiver)
    assert printed == "[True, True, False] [True, True, False, False, False]"
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
    assert {point.resource["service.name"] for point in signals.points()} == {"zero-code"}
    assert "example.org" not in f"{signals.spans()} {signals.events()} {signals.points()}"


def test_it_can_be_switched_off_by_its_name(app: Path, otlp_receiver: OtlpReceiver) -> None:
    printed = run(app, otlp_receiver, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="limits")
    assert printed == "[True, True, False] [True, True, False, False, False]"
    assert otlp_receiver.signals.spans("request")
    assert not otlp_receiver.signals.points(semconv.LIMITER_REQUESTS_METRIC.name)
    assert not otlp_receiver.signals.events()
