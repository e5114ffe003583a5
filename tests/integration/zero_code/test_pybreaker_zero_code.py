"""`opentelemetry-instrument python app.py`: not one changed line, and the signals arrive over OTLP."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integration.zero_code.conftest import Run
from spanguard import semconv
from spanguard.testing import OtlpReceiver

APP = """
import pybreaker
from opentelemetry import trace

breaker = pybreaker.CircuitBreaker(fail_max=2, reset_timeout=3600, name="payments")

@breaker
def pay():
    raise TimeoutError("card 4111")

def main():
    assert breaker.call(int) == 0
    with trace.get_tracer("app").start_as_current_span("request"):
        for _ in range(4):
            try:
                pay()
            except (TimeoutError, pybreaker.CircuitBreakerError) as error:
                print(type(error).__name__, breaker.current_state)

main()
"""

LIMITS_APP = """
import sys
import limits, limits.storage, limits.strategies

limiter = limits.strategies.FixedWindowRateLimiter(limits.storage.MemoryStorage())
print(limiter.hit(limits.parse("5/minute"), "someone"))
print("spanguard.instrumentation.pybreaker.patches" in sys.modules)
"""


def test_an_unchanged_app_sends_the_registrys_signals(run: Run, otlp_receiver: OtlpReceiver) -> None:
    result = run(APP)
    assert result.stdout.split("\n")[:4] == [
        "TimeoutError closed",
        "CircuitBreakerError open",
        "CircuitBreakerError open",
        "CircuitBreakerError open",
    ], result.stderr
    signals = otlp_receiver.signals
    calls: dict[Any, float] = {
        point.attributes[semconv.BREAKER_OUTCOME.key]: point.value
        for point in signals.points(semconv.BREAKER_CALLS_METRIC.name)
    }
    assert calls == {"success": 1, "failure": 2, "rejected": 2}
    (event,) = signals.events(semconv.BREAKER_STATE_CHANGE_EVENT.name)
    (request,) = signals.spans("request")
    assert (event.attributes[semconv.BREAKER_REASON.key], event.trace_id) == ("consecutive_failures", request.trace_id)
    assert [span.parent_id for span in signals.spans("call payments")] == [request.span_id] * 4
    assert signals.value(semconv.BREAKER_STATUS_METRIC.name, {semconv.BREAKER_STATE.key: "open"}) == 1
    assert event.resource["service.name"] == "shop"
    assert "4111" not in repr([signals.spans(), signals.events(), signals.points()])


def make_old(site: Path) -> None:
    metadata = site / "pybreaker-0.1.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: pybreaker\nVersion: 0.1\n")


def make_absent(site: Path) -> None:
    site.mkdir()
    (site / "pybreaker.py").write_text("raise ModuleNotFoundError(\"No module named 'pybreaker'\", name='pybreaker')\n")


def add_what_comes_after_all_instrumentors(site: Path) -> None:
    """Any error but ModuleNotFoundError makes `opentelemetry-instrument` drop everything that was still to come."""
    metadata = site / "afterwards-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: afterwards\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[opentelemetry_post_instrument]\nafterwards = afterwards:say\n")
    (site / "afterwards.py").write_text("def say():\n    print('the rest was instrumented')\n")


@pytest.mark.parametrize("prepare", [make_old, make_absent])
def test_a_library_that_is_absent_or_too_old_is_skipped_alone(
    run: Run, tmp_path: Path, otlp_receiver: OtlpReceiver, prepare: Callable[[Path], None]
) -> None:
    site = tmp_path / "site"
    prepare(site)
    add_what_comes_after_all_instrumentors(site)
    result = run(LIMITS_APP, PYTHONPATH=os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))
    assert result.stdout == "the rest was instrumented\nTrue\nFalse\n", result.stderr
    assert otlp_receiver.signals.value(semconv.LIMITER_REQUESTS_METRIC.name) == 1
