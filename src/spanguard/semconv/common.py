"""What several signals share: the scope, the attributes of every guard, and the bounds of waits."""

from __future__ import annotations

from typing import Final

from spanguard.semconv.model import Attribute, Stability

SCHEMA_SCOPE: Final = "spanguard"
"""The instrumentation scope of every signal."""

DEPLOYMENT_ENVIRONMENT: Final = "deployment.environment.name"
"""OpenTelemetry's resource attribute for where a service runs; its Python package has it only as an incubating name."""

DEADLINE_BAGGAGE: Final = "spanguard.deadline"
"""The baggage entry that carries a deadline to other processes: milliseconds since the Unix epoch."""

POLICY_NAME: Final = Attribute(
    "spanguard.policy.name",
    "string",
    "The guard's configured name. Every guard carries it, so one dashboard variable serves all.",
)
ERROR_TYPE: Final = Attribute(
    "error.type",
    "string",
    "The class of the error, from OpenTelemetry's own conventions: `module.Class`, or the bare name for built-ins; `_OTHER` once a process has seen too many. Of failed validations, pydantic's word for what is wrong.",
    stability=Stability.STABLE,
)
OUTCOME: Final = Attribute(
    "spanguard.outcome",
    "string",
    "How the guarded call ended, as the caller saw it.",
    values=("success", "failure", "rejected"),
)
COMPONENT: Final = Attribute("spanguard.component", "string", "The part of spanguard in which something went wrong.")
METRIC_OVERFLOW: Final = Attribute(
    "otel.metric.overflow",
    "boolean",
    "Set on the one series that takes all attribute sets beyond the cardinality limit.",
    stability=Stability.STABLE,
)

QUEUE_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
