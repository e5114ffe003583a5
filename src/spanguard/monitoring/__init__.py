"""Monitoring: application alerts."""

from spanguard.monitoring.alerts import Alert, AlertCallback, AlertManager, AlertState, Severity, alert_manager

__all__ = ["Alert", "AlertCallback", "AlertManager", "AlertState", "Severity", "alert_manager"]
