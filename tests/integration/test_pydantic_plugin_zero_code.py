"""`opentelemetry-instrument python app.py`: models of pydantic, and not one changed line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spanguard import semconv
from spanguard.testing import OtlpReceiver

APP = """
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

class Card(BaseModel):
    number: int
    owner: str

@dataclass
class Coupon:
    percent: int

for validate in (
    lambda: Card(number="4111-1111"),
    lambda: Card.model_validate_json('{"number": 1, "owner": "Ada"}'),
    lambda: Coupon("4111-1111"),
    lambda: TypeAdapter(list[Card]).validate_python("4111-1111"),
):
    try:
        print(validate())
    except ValidationError as error:
        print(error.error_count())
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path, otlp_receiver: OtlpReceiver) -> Run:
    def run_app(**environment: str) -> subprocess.CompletedProcess[str]:
        app = tmp_path / "app.py"
        app.write_text(APP)
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_receiver.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_SERVICE_NAME": "shop",
        }
        return subprocess.run(
            [Path(sys.executable).with_name("opentelemetry-instrument"), sys.executable, app],
            env={**os.environ, **settings, **environment},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    return run_app


def test_an_unchanged_app_tells_of_the_data_that_its_models_refuse(run: Run, otlp_receiver: OtlpReceiver) -> None:
    result = run()
    assert result.stdout == "2\nnumber=1 owner='Ada'\n1\n1\n", result.stderr
    signals = otlp_receiver.signals
    counted = {
        (point.attributes[semconv.MODEL_NAME.key], point.attributes[semconv.ERROR_TYPE.key]): point.value
        for point in signals.points(semconv.MODEL_FAILURES_METRIC.name)
    }
    assert counted == {
        ("__main__.Card", "int_parsing"): 1,
        ("__main__.Card", "missing"): 1,
        ("__main__.Coupon", "int_parsing"): 1,
        ("list[Card]", "list_type"): 1,
    }
    assert "4111" not in repr([signals.spans(), signals.events(), signals.points()])


def test_the_plugin_can_be_switched_off(run: Run, otlp_receiver: OtlpReceiver) -> None:
    result = run(OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="pydantic")
    assert result.stdout == "2\nnumber=1 owner='Ada'\n1\n1\n", result.stderr
    assert otlp_receiver.signals.points(semconv.MODEL_FAILURES_METRIC.name) == []
