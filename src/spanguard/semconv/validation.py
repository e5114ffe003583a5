"""The signals of validation."""

from __future__ import annotations

from typing import Final

from spanguard.semconv.model import Attribute, Event, Metric, MetricKind, Span

VALIDATION_TYPE: Final = Attribute(
    "spanguard.validation.type", "string", "The type of input that was asked for, as `input_type` names it."
)
VALIDATION_OUTCOME: Final = Attribute(
    "spanguard.validation.outcome",
    "string",
    "`threat` is an input that was refused as an attack; one that was let through with a warning is `valid`.",
    values=("valid", "invalid", "threat"),
)
VALIDATION_THREAT: Final = Attribute(
    "spanguard.validation.threat",
    "string",
    "The kind of attack that the input looks like, of several the one with the highest score; `none` if it looks like none.",
    values=("none", "xss", "sql_injection", "command_injection", "path_traversal"),
)
VALIDATION_POLICY: Final = Attribute(
    "spanguard.validation.policy", "string", "What was done with the threat.", values=("warn", "block")
)
VALIDATION_FAMILIES: Final = Attribute(
    "spanguard.validation.families", "string", "All kinds of attack that the text looks like, with commas between them."
)
VALIDATION_RULES: Final = Attribute(
    "spanguard.validation.rules", "string", "The rules that met their pattern, with commas between them."
)
VALIDATION_SCORE: Final = Attribute("spanguard.validation.score", "int", "The score; from 5 on a text is a threat.")
VALIDATION_PATH: Final = Attribute(
    "spanguard.validation.path",
    "string",
    "The field, with dots on the way to it; empty for the input itself. A key that came with the input is never part of it.",
)
VALIDATION_LENGTH: Final = Attribute(
    "spanguard.validation.length", "int", "The length of the text.", unit="{character}"
)
VALIDATION_DIGEST: Final = Attribute(
    "spanguard.validation.digest",
    "string",
    "A hash of the text, under a key that only this process knows: one attack that comes again can be told from many.",
)

VALIDATION_CHECKS_METRIC: Final = Metric(
    "spanguard.validation.checks",
    MetricKind.COUNTER,
    "{check}",
    "Inputs that were validated, by what became of them. A list or a dictionary counts once, whatever is in it.",
    (VALIDATION_TYPE, VALIDATION_OUTCOME, VALIDATION_THREAT),
)
VALIDATION_THREAT_EVENT: Final = Event(
    "spanguard.validation.threat_detected",
    "A text looks like an attack. The text itself is never part of it. Of one input at most ten are told.",
    (
        VALIDATION_TYPE,
        VALIDATION_POLICY,
        VALIDATION_FAMILIES,
        VALIDATION_RULES,
        VALIDATION_SCORE,
        VALIDATION_PATH,
        VALIDATION_LENGTH,
        VALIDATION_DIGEST,
    ),
)
VALIDATION_SPAN: Final = Span(
    "validate",
    "A validation that took longer than the setting allows before it is told, followed by the type of input.",
    (VALIDATION_TYPE, VALIDATION_OUTCOME, VALIDATION_THREAT),
)
