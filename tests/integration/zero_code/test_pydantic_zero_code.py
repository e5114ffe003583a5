"""`opentelemetry-instrument python app.py`: models of pydantic, and not one changed line."""

from __future__ import annotations

from integration.zero_code.conftest import Run
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


def test_an_unchanged_app_tells_of_the_data_that_its_models_refuse(run: Run, otlp_receiver: OtlpReceiver) -> None:
    result = run(APP)
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
    result = run(APP, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="pydantic")
    assert result.stdout == "2\nnumber=1 owner='Ada'\n1\n1\n", result.stderr
    assert otlp_receiver.signals.points(semconv.MODEL_FAILURES_METRIC.name) == []
