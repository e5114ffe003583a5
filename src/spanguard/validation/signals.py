"""What a validation tells of itself: counts, an event for each threat, and a span where it was slow. Never the value."""

from __future__ import annotations

import time
from typing import Any, Final

from opentelemetry import trace
from opentelemetry._logs import SeverityNumber

from spanguard import semconv
from spanguard._version import __version__
from spanguard.telemetry.counts import COUNTS, Tally
from spanguard.telemetry.events import emit
from spanguard.telemetry.internal import safely
from spanguard.validation.problem import Problem, Threat
from spanguard.validation.result import ValidationResult

MAX_EVENTS: Final = 10
"""Events of one validation: a list full of attacks is one attack."""

_tracer: Final = trace.get_tracer(semconv.SCHEMA_SCOPE, __version__)


def tally_of_valid(type_name: str, owner: object) -> Tally:
    """Return what counts the inputs with which nothing is wrong; see `COUNTS.tally`."""
    return COUNTS.tally(semconv.VALIDATION_CHECKS_METRIC, _attributes(type_name, "valid", "none"), owner=owner)


def note(type_name: str, result: ValidationResult[Any]) -> None:
    """Count an input that is not valid, or valid with warnings, and tell of the threats in it. Never raises."""
    with safely("validation"):
        COUNTS.add(semconv.VALIDATION_CHECKS_METRIC, _attributes(type_name, *_verdict(result)))
        told = 0
        for problem in (*result.errors, *result.warnings):
            if problem.threat is not None and told < MAX_EVENTS:
                told += 1
                _tell(type_name, problem, problem.threat)


def add_span(type_name: str, result: ValidationResult[Any], seconds: float) -> None:
    """Add the span of a validation that has just ended below the current one, if that records. Never raises."""
    with safely("validation"):
        if not trace.get_current_span().is_recording():
            return
        end = time.time_ns()
        _tracer.start_span(
            f"{semconv.VALIDATION_SPAN.name} {type_name}",
            start_time=end - int(seconds * 1e9),
            attributes=_attributes(type_name, *_verdict(result)),
        ).end(end)


def _verdict(result: ValidationResult[Any]) -> tuple[str, str]:
    refused = [problem.threat for problem in result.errors if problem.threat is not None]
    threats = refused or [problem.threat for problem in result.warnings if problem.threat is not None]
    family = max(threats, key=lambda threat: threat.score).families[0] if threats else "none"
    outcome = "valid" if result.is_valid else "threat" if refused else "invalid"
    return outcome, family


def _tell(type_name: str, problem: Problem, threat: Threat) -> None:
    families = ",".join(threat.families)
    emit(
        semconv.VALIDATION_THREAT_EVENT,
        {
            semconv.VALIDATION_TYPE.key: type_name,
            semconv.VALIDATION_POLICY.key: threat.policy,
            semconv.VALIDATION_FAMILIES.key: families,
            semconv.VALIDATION_RULES.key: ",".join(threat.rules),
            semconv.VALIDATION_SCORE.key: threat.score,
            semconv.VALIDATION_PATH.key: ".".join(map(str, problem.path)),
            semconv.VALIDATION_LENGTH.key: threat.length,
            semconv.VALIDATION_DIGEST.key: threat.digest,
        },
        body=f"A text of type {type_name} looks like an attack ({families}); policy: {threat.policy}.",
        severity=SeverityNumber.WARN,
    )


def _attributes(type_name: str, outcome: str, threat: str) -> dict[str, str]:
    return {
        semconv.VALIDATION_TYPE.key: type_name,
        semconv.VALIDATION_OUTCOME.key: outcome,
        semconv.VALIDATION_THREAT.key: threat,
    }
