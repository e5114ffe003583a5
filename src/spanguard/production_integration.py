"""Assembly: profile in, running system out.

`initialize_production` sets up telemetry, builds the guards of the profile under their names, and lets a breaker that
opens raise the application alert `DependencyUnavailable`, resolved when it closes.
"""

from __future__ import annotations

import os
import threading
from dataclasses import asdict
from os import PathLike
from typing import Any, Final

import pybreaker

from spanguard.clock import SYSTEM_CLOCK
from spanguard.config_manager import BreakerSettings, Environment, Profile, load_profile
from spanguard.error_handling import (
    CircuitBreaker,
    CountWindow,
    FailureRate,
    SlowCall,
    TimeWindow,
    circuit_breakers,
)
from spanguard.errors import ConfigurationError, SpanguardError
from spanguard.monitoring import Severity, alert_manager
from spanguard.rate_limiter import TokenBucketLimiter, rate_limit_manager
from spanguard.telemetry import Telemetry, setup

DEPENDENCY_ALERT: Final = "DependencyUnavailable"

POLICY_LABEL: Final = "spanguard_policy_name"
"""The label under which alerts on metrics bear the guard's name too, so that Alertmanager can hold the two together."""


class ProductionSystem:
    """The running system that `initialize_production` built."""

    def __init__(self, app_name: str, environment: Environment, profile: Profile, telemetry: Telemetry) -> None:
        self.app_name = app_name
        self.environment = environment
        self.profile = profile
        self.telemetry = telemetry
        self._started = SYSTEM_CLOCK.monotonic()

    def get_system_status(self) -> dict[str, Any]:
        """Return what is known of every part, as plain data that JSON can carry.

        Keys: `app_name`, `environment`, `uptime` (seconds), `telemetry` (signals built and joined), `circuit_breakers`
        and `rate_limiters` (their statistics by name), `alerts` (those that stand).
        """
        return {
            "app_name": self.app_name,
            "environment": self.environment.value,
            "uptime": SYSTEM_CLOCK.monotonic() - self._started,
            "telemetry": {"built": list(self.telemetry.built), "joined": list(self.telemetry.joined)},
            "circuit_breakers": {name: asdict(b.stats()) for name, b in circuit_breakers.all().items()},
            "rate_limiters": {name: asdict(stats) for name, stats in rate_limit_manager.stats().items()},
            "alerts": [
                {"name": a.name, "severity": a.severity.value, "summary": a.summary, "labels": dict(a.labels)}
                for a in alert_manager.active()
            ],
        }

    def shutdown(self, timeout: float = 5.0) -> bool:
        """Export what is pending and stop. Tell whether everything was delivered within `timeout` seconds."""
        return self.telemetry.shutdown(timeout)


_system: ProductionSystem | None = None
_lock = threading.Lock()


def initialize_production(
    app_name: str,
    environment: Environment | str = Environment.PRODUCTION,
    profile: str | PathLike[str] | None = None,
    *,
    version: str | None = None,
) -> ProductionSystem:
    """Set up telemetry and the guards of a profile, once for this process; nothing is set up if anything is wrong.

    Args:
        app_name: `service.name`, unless `OTEL_SERVICE_NAME` says otherwise.
        environment: `deployment.environment.name`.
        profile: a bundled profile's name or a TOML file's path; `tge_monitor` by default.
        version: `service.version`.

    Raises:
        ConfigurationError: one or more settings are wrong; the message names all of them.
        SpanguardError: the system is initialised already.
    """
    global _system  # noqa: PLW0603 - a documented singleton: one system a process; `shutdown_production` resets it
    with _lock:
        if _system is not None:
            raise SpanguardError(
                f"initialize_production was called before, for {_system.app_name!r}; call shutdown_production first."
            )
        known_environment = _checked_environment(environment)
        loaded = load_profile(profile)
        breakers = _build_guards(loaded)
        telemetry = setup(service_name=app_name, service_version=version, environment=known_environment.value)
        for name, breaker in breakers.items():
            circuit_breakers.register(name, breaker)
        for name, limiter in loaded.rate_limiters.items():
            rate_limit_manager.configure(name, rate=limiter.rate, burst=limiter.burst)
        alert_manager.configure(resend_interval=loaded.alerts.resend_interval)
        _system = ProductionSystem(app_name, known_environment, loaded, telemetry)
        return _system


def get_system_status() -> dict[str, Any]:
    """Return `ProductionSystem.get_system_status` of the running system.

    Raises:
        SpanguardError: there is none.
    """
    if _system is None:
        raise SpanguardError("there is no running system: call initialize_production first.")
    return _system.get_system_status()


def shutdown_production(timeout: float = 5.0) -> bool:
    """Export what is pending, stop telemetry and forget the named guards. Without a running system nothing happens.

    Args:
        timeout: seconds that all of it may take.

    Returns:
        Whether everything was delivered.
    """
    global _system  # noqa: PLW0603 - as in initialize_production
    with _lock:
        if _system is None:
            return True
        delivered = _system.shutdown(timeout)
        _system = None
        circuit_breakers.reset()
        rate_limit_manager.reset()
        alert_manager.reset()
        return delivered


def _checked_environment(environment: Environment | str) -> Environment:
    try:
        return Environment(environment)
    except ValueError:
        allowed = ", ".join(Environment)
        raise ConfigurationError(f"environment {environment!r} is not known; use one of: {allowed}.") from None


def _build_guards(profile: Profile) -> dict[str, CircuitBreaker]:
    """Build the breakers and try the limiters, so that every problem is known before anything is set up."""
    breakers: dict[str, CircuitBreaker] = {}
    problems: list[str] = []
    for name, breaker in profile.circuit_breakers.items():
        try:
            breakers[name] = _build_breaker(name, breaker, profile)
        except ConfigurationError as error:
            problems += error.problems
    for name, limiter in profile.rate_limiters.items():
        try:
            TokenBucketLimiter(limiter.rate, limiter.burst, name=name)
        except ConfigurationError as error:
            problems += error.problems
    if not profile.alerts.resend_interval > 0:
        problems.append(f"alerts.resend_interval is {profile.alerts.resend_interval}; it must be above 0 seconds.")
    if problems:
        raise ConfigurationError(problems)
    return breakers


def _build_breaker(name: str, settings: BreakerSettings, profile: Profile) -> CircuitBreaker:
    listeners = []
    if settings.alert != "none":
        runbook_url = profile.alerts.runbook_url.replace("{name}", DEPENDENCY_ALERT)
        listeners.append(_DependencyAlert(Severity(settings.alert), runbook_url))
    window: CountWindow | TimeWindow | None = None
    if settings.window is not None:
        window = (
            TimeWindow(settings.window.seconds)
            if settings.window.seconds is not None
            else CountWindow(settings.window.size or 0)
        )
    return CircuitBreaker(
        fail_max=settings.fail_max,
        reset_timeout=settings.reset_timeout,
        success_threshold=settings.success_threshold,
        listeners=listeners,
        name=name,
        half_open_max_calls=settings.half_open_max_calls,
        failure_rate=FailureRate(**settings.failure_rate.model_dump()) if settings.failure_rate else None,
        slow_call=SlowCall(**settings.slow_call.model_dump()) if settings.slow_call else None,
        window=window,
        probe_lease=settings.probe_lease,
    )


class _DependencyAlert(pybreaker.CircuitBreakerListener):
    """Lets the application alert stand from the breaker's opening until it is closed again."""

    def __init__(self, severity: Severity, runbook_url: str) -> None:
        self._severity = severity
        self._runbook_url = runbook_url

    def state_change(self, cb: pybreaker.CircuitBreaker, old_state: Any, new_state: Any) -> None:  # noqa: ARG002
        """Raise or resolve; pybreaker calls this after each transition."""
        labels = {POLICY_LABEL: str(cb.name)}
        if new_state.name == pybreaker.STATE_OPEN:
            alert_manager.raise_alert(
                DEPENDENCY_ALERT,
                self._severity,
                summary=f"{cb.name} is unavailable: its circuit breaker is open.",
                description=f"Calls to {cb.name} fail at once. The breaker tries again every {cb.reset_timeout:g} s.",
                labels=labels,
                runbook_url=self._runbook_url,
            )
        elif new_state.name == pybreaker.STATE_CLOSED:
            alert_manager.resolve_alert(DEPENDENCY_ALERT, labels=labels)


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it; that thread does not exist here
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)
