"""`opentelemetry-instrument python app.py`: retries of tenacity and stamina, and not one changed line."""

from __future__ import annotations

from pathlib import Path

from integration.zero_code.conftest import Run
from spanguard import semconv
from spanguard.testing import OtlpReceiver

APP = """
import stamina
import tenacity
from opentelemetry import trace

@tenacity.retry(stop=tenacity.stop_after_attempt(3), reraise=True)
def pay():
    raise TimeoutError("card 4111")

@stamina.retry(on=OSError, wait_initial=0.01, wait_jitter=0)
def fetch(left=[TimeoutError()]):
    if left:
        raise left.pop()
    return "fetched"

with trace.get_tracer("app").start_as_current_span("request"):
    print(fetch())
    try:
        pay()
    except TimeoutError as error:
        print(error)
"""

WITHOUT_TENACITY = """
import pybreaker
from spanguard.error_handling import with_retry

print(with_retry(int)(), pybreaker.CircuitBreaker(name="payments").call(int))
"""


def test_an_unchanged_app_tells_of_its_retries(run: Run, otlp_receiver: OtlpReceiver) -> None:
    result = run(APP)
    assert result.stdout == "fetched\ncard 4111\n", result.stderr
    signals = otlp_receiver.signals
    ends = {
        point.attributes[semconv.POLICY_NAME.key]: point.attributes[semconv.RETRY_OUTCOME.key]
        for point in signals.points(semconv.RETRY_CALLS_METRIC.name)
    }
    assert ends == {"__main__.pay": "failure_with_retry", "__main__.fetch": "success_with_retry"}
    (event,) = signals.events(semconv.RETRY_EXHAUSTED_EVENT.name)
    (request,) = signals.spans("request")
    assert (event.attributes[semconv.RETRY_REASON.key], event.trace_id) == ("attempts", request.trace_id)
    assert {span.parent_id for span in signals.spans() if span.name.startswith("attempt")} == {request.span_id}
    assert "4111" not in repr([signals.spans(), signals.events(), signals.points()])


def test_where_tenacity_is_absent_the_rest_works(run: Run, tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    absent = tmp_path / "site"
    absent.mkdir()
    (absent / "tenacity.py").write_text("raise ModuleNotFoundError(\"No module named 'tenacity'\", name='tenacity')\n")
    result = run(WITHOUT_TENACITY, PYTHONPATH=str(absent))
    assert result.stdout == "0 0\n", result.stderr
    signals = otlp_receiver.signals
    assert signals.value(semconv.RETRY_CALLS_METRIC.name) == 1
    assert signals.value(semconv.BREAKER_CALLS_METRIC.name) == 1
