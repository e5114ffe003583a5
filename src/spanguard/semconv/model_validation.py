"""The signals of models that refuse their data."""

from __future__ import annotations

from typing import Final

from spanguard.semconv.common import ERROR_TYPE
from spanguard.semconv.model import Attribute, Metric, MetricKind

MODEL_NAME: Final = Attribute(
    "spanguard.validation.model.name",
    "string",
    "The model, dataclass or type, as `module.Class`, or the function whose arguments were validated; `_OTHER` once a process has seen too many.",
)

MODEL_FAILURES_METRIC: Final = Metric(
    "spanguard.validation.model.failures",
    MetricKind.COUNTER,
    "{failure}",
    "Validations that pydantic refused. One that failed for several reasons counts once under each; `error.type` is pydantic's own word for it, such as `missing` or `int_parsing`, and `_OTHER` for a word that is not pydantic's.",
    (MODEL_NAME, ERROR_TYPE),
)
