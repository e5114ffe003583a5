"""Application alerts: an event that the collector turns into an Alertmanager alert, and a metric of those that stand.

A standing alert is sent again at an interval, as Prometheus does with its own: the collector ends an alert that was not
repeated for four intervals, so that the alert of a dead process clears.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Protocol

from opentelemetry import context as otel_context
from opentelemetry._logs import SeverityNumber
from opentelemetry.context import Context

from spanguard import semconv
from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.errors import ConfigurationError
from spanguard.telemetry import COUNTS, emit
from spanguard.telemetry.internal import safely

RESEND_INTERVAL: Final = 60.0
"""Seconds between two sendings of a standing alert; Prometheus's default `--rules.alert.resend-delay` is one minute."""

_LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_RESERVED_LABELS: Final = frozenset({"alertname", "severity", "service_name", "deployment_environment"})


class Severity(StrEnum):
    """How urgent an alert is: wake somebody up, look today, for the record."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class AlertState(StrEnum):
    """Whether an alert stands."""

    FIRING = "firing"
    RESOLVED = "resolved"


_SEVERITY_NUMBERS: Final = {
    Severity.CRITICAL: SeverityNumber.ERROR,
    Severity.WARNING: SeverityNumber.WARN,
    Severity.INFO: SeverityNumber.INFO,
}


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as callbacks and `AlertManager.active` show it; `starts_at` is in seconds since the Unix epoch."""

    name: str
    severity: Severity
    summary: str
    description: str
    labels: Mapping[str, str]
    runbook_url: str
    starts_at: float
    state: AlertState
    context: Context = field(repr=False, compare=False)

    @property
    def key(self) -> str:
        """A stable identity: the same name, severity and labels have the same key."""
        identity = json.dumps([self.name, self.severity, sorted(self.labels.items())])
        return hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()[:16]


class AlertCallback(Protocol):
    """Called with each alert that was raised, changed or resolved; what it raises is kept from the caller."""

    def __call__(self, alert: Alert, /) -> None:
        """Take one alert."""
        ...


class AlertManager:
    """Raises and resolves application alerts. Safe from threads and tasks; a forked child starts without alerts.

    Args:
        resend_interval: seconds between two sendings of an alert that stands.
        clock: what tells the time of day.
    """

    def __init__(self, *, resend_interval: float = RESEND_INTERVAL, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._active: dict[tuple[str, tuple[tuple[str, str], ...]], Alert] = {}
        self._callbacks: tuple[AlertCallback, ...] = ()
        self._resend_interval = RESEND_INTERVAL
        self._changed = threading.Condition(self._lock)
        self._resender: threading.Thread | None = None
        self.configure(resend_interval=resend_interval)
        COUNTS.observe(semconv.ALERT_ACTIVE_METRIC, self, AlertManager._observe)
        _managers.add(self)

    def configure(self, *, resend_interval: float) -> None:
        """Change the interval, in seconds, also for alerts that stand.

        Raises:
            ConfigurationError: the interval is not above zero.
        """
        if not resend_interval > 0:
            raise ConfigurationError(f"alerts: resend_interval is {resend_interval}; it must be above 0 seconds.")
        with self._changed:
            self._resend_interval = resend_interval
            self._changed.notify_all()

    def add_callback(self, callback: AlertCallback) -> None:
        """Call this too, from now on, for each alert that is raised, changed or resolved."""
        with self._lock:
            self._callbacks = (*self._callbacks, callback)

    def raise_alert(
        self,
        name: str,
        severity: Severity | str = Severity.WARNING,
        *,
        summary: str,
        description: str = "",
        labels: Mapping[str, str] | None = None,
        runbook_url: str = "",
    ) -> Alert:
        """Raise an alert, in the current trace; the same one again, with nothing new to say, is not sent twice.

        Args:
            name: becomes the label `alertname`; with `labels` it is the alert's identity.
            severity: "critical", "warning" or "info".
            summary: one line for the person who wakes up.
            description: what is known, in a few sentences.
            labels: what tells this alert from others of its name; few values each, never a key, an input or an id.
            runbook_url: where it is written what to do.

        Raises:
            ConfigurationError: the severity or a label's name is not allowed.
        """
        alert = Alert(
            name=name,
            severity=_checked_severity(severity),
            summary=summary,
            description=description,
            labels=_checked_labels(labels or {}),
            runbook_url=runbook_url,
            starts_at=self._clock.time(),
            state=AlertState.FIRING,
            context=otel_context.get_current(),
        )
        with self._changed:
            known = self._active.get(_identity(alert))
            if known is not None and known.severity is alert.severity:
                # Still the same incident: it began then, in that trace.
                alert = replace(alert, starts_at=known.starts_at, context=known.context)
            if known == alert:
                return known
            self._active[_identity(alert)] = alert
            self._start_resender()
        if known is not None and known.severity is not alert.severity:
            # Severity is a label of the receiving end, so the former one is another alert there.
            self._send(replace(known, state=AlertState.RESOLVED))
        self._publish(alert)
        return alert

    def resolve_alert(self, name: str, *, labels: Mapping[str, str] | None = None) -> bool:
        """Resolve the alert of this name and these labels. Tell whether it stood."""
        with self._changed:
            alert = self._active.pop((name, tuple(sorted((labels or {}).items()))), None)
            self._changed.notify_all()
        if alert is None:
            return False
        self._publish(replace(alert, state=AlertState.RESOLVED))
        return True

    def active(self) -> tuple[Alert, ...]:
        """Return the alerts that stand."""
        with self._lock:
            return tuple(self._active.values())

    def resend(self) -> None:
        """Send every standing alert again now; a background thread does it at the interval."""
        for alert in self.active():
            # Asked once more right before: a resolution in between must be the last word.
            if self._active.get(_identity(alert)) is alert:
                self._send(alert)

    def reset(self) -> None:
        """Forget every alert and callback without a word, as a test does at its end."""
        with self._changed:
            self._active.clear()
            self._callbacks = ()
            self._changed.notify_all()

    def _publish(self, alert: Alert) -> None:
        self._send(alert)
        for callback in self._callbacks:
            with safely("alert callback"):
                callback(alert)

    def _send(self, alert: Alert) -> None:
        attributes: dict[str, str | int | float | None] = {
            semconv.ALERT_NAME.key: alert.name,
            semconv.ALERT_SEVERITY.key: alert.severity.value,
            semconv.ALERT_STATE.key: alert.state.value,
            semconv.ALERT_KEY.key: alert.key,
            semconv.ALERT_STARTS_AT.key: int(alert.starts_at * 1e9),
            semconv.ALERT_RESEND_INTERVAL.key: float(self._resend_interval),
            semconv.ALERT_SUMMARY.key: alert.summary or None,
            semconv.ALERT_DESCRIPTION.key: alert.description or None,
            semconv.ALERT_RUNBOOK_URL.key: alert.runbook_url or None,
        }
        attributes.update({f"{semconv.ALERT_LABEL.key}.{name}": value for name, value in alert.labels.items()})
        emit(
            semconv.ALERT_EVENT,
            attributes,
            body=f"{alert.name} {alert.state}: {alert.summary}",
            severity=_SEVERITY_NUMBERS[alert.severity] if alert.state is AlertState.FIRING else SeverityNumber.INFO,
            context=alert.context,
        )

    def _start_resender(self) -> None:
        if self._resender is None:
            self._resender = threading.Thread(target=self._keep_sending, name="spanguard-alerts", daemon=True)
            self._resender.start()

    def _keep_sending(self) -> None:
        sent_at = SYSTEM_CLOCK.monotonic()
        while True:
            with self._changed:
                if not self._active:
                    self._resender = None
                    return
                remaining = sent_at + self._resend_interval - SYSTEM_CLOCK.monotonic()
                if remaining > 0:
                    self._changed.wait(remaining)
                    continue
            self.resend()
            sent_at = SYSTEM_CLOCK.monotonic()

    def _observe(self) -> Iterable[tuple[dict[str, str], int]]:
        return [
            ({semconv.ALERT_NAME.key: alert.name, semconv.ALERT_SEVERITY.key: alert.severity.value}, 1)
            for alert in self.active()
        ]

    def _after_fork_in_child(self) -> None:
        # What the parent raised is the parent's to resolve; its thread and its locks' holders are not here.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._resender = None
        self._active = {}


def _identity(alert: Alert) -> tuple[str, tuple[tuple[str, str], ...]]:
    return alert.name, tuple(sorted(alert.labels.items()))


def _checked_severity(severity: Severity | str) -> Severity:
    try:
        return Severity(severity)
    except ValueError:
        allowed = ", ".join(Severity)
        raise ConfigurationError(f"alert severity {severity!r} is not known; use one of: {allowed}.") from None


def _checked_labels(labels: Mapping[str, str]) -> dict[str, str]:
    problems = [
        f"alert label {name!r} is set by spanguard itself; choose another name."
        if name in _RESERVED_LABELS
        else f"alert label {name!r} is not a Prometheus label name: letters, digits and _, no digit first."
        for name in labels
        if name in _RESERVED_LABELS or not _LABEL_NAME.fullmatch(name)
    ]
    if problems:
        raise ConfigurationError(problems)
    return dict(labels)


_managers: weakref.WeakSet[AlertManager] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for manager in list(_managers):
        manager._after_fork_in_child()  # noqa: SLF001 - this module's own class


os.register_at_fork(after_in_child=_after_fork_in_child)

alert_manager: Final = AlertManager()
"""The alert manager of this process; `reset()` empties it."""
