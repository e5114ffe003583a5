"""The signals of an application alert."""

from __future__ import annotations

from typing import Final

from spanguard.semconv.model import Attribute, Event, Metric, MetricKind

ALERT_NAME: Final = Attribute("spanguard.alert.name", "string", "The alert's name; becomes the label `alertname`.")
ALERT_SEVERITY: Final = Attribute(
    "spanguard.alert.severity", "string", "How urgent it is.", values=("info", "warning", "critical")
)
ALERT_STATE: Final = Attribute(
    "spanguard.alert.state", "string", "Whether the alert stands or is over.", values=("firing", "resolved")
)
ALERT_KEY: Final = Attribute(
    "spanguard.alert.key",
    "string",
    "A stable identity: the same name, severity and labels in the same service have the same key.",
)
ALERT_STARTS_AT: Final = Attribute(
    "spanguard.alert.starts_at", "int", "When the alert was raised, since the Unix epoch.", unit="ns"
)
ALERT_RESEND_INTERVAL: Final = Attribute(
    "spanguard.alert.resend_interval",
    "double",
    "How often a standing alert is sent again; four misses end it.",
    unit="s",
)
ALERT_SUMMARY: Final = Attribute("spanguard.alert.summary", "string", "One line for the person who wakes up.")
ALERT_DESCRIPTION: Final = Attribute("spanguard.alert.description", "string", "What is known, in a few sentences.")
ALERT_RUNBOOK_URL: Final = Attribute("spanguard.alert.runbook_url", "string", "Where it is written what to do.")
ALERT_LABEL: Final = Attribute(
    "spanguard.alert.label",
    "string",
    "The declared labels, one attribute each: `spanguard.alert.label.<name>`.",
    is_prefix=True,
)

ALERT_ACTIVE_METRIC: Final = Metric(
    "spanguard.alert.active",
    MetricKind.UPDOWNCOUNTER,
    "{alert}",
    "Application alerts that stand now.",
    (ALERT_NAME, ALERT_SEVERITY),
)
ALERT_EVENT: Final = Event(
    "spanguard.alert",
    "An application alert was raised, still stands, or was resolved. The collector turns it into an Alertmanager alert.",
    (ALERT_NAME, ALERT_SEVERITY, ALERT_STATE, ALERT_KEY, ALERT_STARTS_AT, ALERT_RESEND_INTERVAL),
    (ALERT_SUMMARY, ALERT_DESCRIPTION, ALERT_RUNBOOK_URL, ALERT_LABEL),
)
