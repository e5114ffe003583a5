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
from spanguard.config_manager import Environment, Profile, load_profile
from spanguard.error_handling import CircuitBreaker, circuit_breakers
from spanguard.errors import ConfigurationError, SpanguardError
from spanguard.guard import Draft, changed_sections, guards
from spanguard.monitoring import Severity, alert_manager
from spanguard.rate_limiter import rate_limit_manager
from spanguard.telemetry import Telemetry, setup

DEPENDENCY_ALERT: Final = "DependencyUnavailable"

POLICY_LABEL: Final = "spanguard_policy_name"
"""The label under which alerts on metrics bear the guard's name too, so that Alertmanager can hold the two together."""


class ProductionSystem:
    """The running system that `initialize_production` built."""

    def __init__(self, app_name: str, environment: Environment, telemetry: Telemetry) -> None:
        self.app_name = app_name
        self.environment = environment
        self.telemetry = telemetry
        self.profile: Profile
        self._started = SYSTEM_CLOCK.monotonic()
        self._alerts = _DependencyAlerts()

    def reload(self, profile: str | PathLike[str] | None = None) -> list[str]:
        """Go by another profile, or a changed one, while calls run: all of it, or nothing if anything is wrong.

        Guards keep their state, and calls that are under way end as they began; see `GuardRegistry.reconfigure`.

        Args:
            profile: as `initialize_production` takes it.

        Returns:
            The sections that changed, such as `timeouts.search`.

        Raises:
            ConfigurationError: one or more settings are wrong; the message names all of them. The old ones stay.
            SpanguardError: the system was shut down.
        """
        loaded = load_profile(profile)
        with _lock:
            if _system is not self:
                raise SpanguardError(f"the system of {self.app_name!r} was shut down; call initialize_production.")
            former, draft = self.profile, _checked(loaded)
            self.go_by(draft)
            return changed_sections(former, draft.profile)

    def go_by(self, draft: Draft) -> None:
        """Take over a profile that was checked. `reload` is the way to ask for it."""
        guards.apply(draft)
        self.profile = draft.profile
        self._alerts.go_by(draft.profile)
        alert_manager.configure(resend_interval=draft.profile.alerts.resend_interval)

    def get_system_status(self) -> dict[str, Any]:
        """Return what is known of every part, as plain data that JSON can carry.

        Keys: `app_name`, `environment`, `uptime` (seconds), `telemetry` (signals built and joined), `circuit_breakers`,
        `rate_limiters` and `guards` (their statistics by name), `alerts` (those that stand).
        """
        return {
            "app_name": self.app_name,
            "environment": self.environment.value,
            "uptime": SYSTEM_CLOCK.monotonic() - self._started,
            "telemetry": {"built": list(self.telemetry.built), "joined": list(self.telemetry.joined)},
            "circuit_breakers": {name: asdict(b.stats()) for name, b in circuit_breakers.all().items()},
            "rate_limiters": {name: asdict(stats) for name, stats in rate_limit_manager.stats().items()},
            "guards": {name: asdict(stats) for name, stats in guards.stats().items()},
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
        draft = _checked(load_profile(profile))
        telemetry = setup(service_name=app_name, service_version=version, environment=known_environment.value)
        system = ProductionSystem(app_name, known_environment, telemetry)
        system.go_by(draft)
        _system = system
        return system


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
        guards.reset()
        alert_manager.reset()
        return delivered


def _checked_environment(environment: Environment | str) -> Environment:
    try:
        return Environment(environment)
    except ValueError:
        allowed = ", ".join(Environment)
        raise ConfigurationError(f"environment {environment!r} is not known; use one of: {allowed}.") from None


def _checked(profile: Profile) -> Draft:
    """Return what `ProductionSystem.go_by` takes; every problem is known before anything is set up."""
    interval = profile.alerts.resend_interval
    problems = [] if interval > 0 else [f"alerts.resend_interval is {interval}; it must be above 0 seconds."]
    try:
        draft = guards.check(profile)
    except ConfigurationError as error:
        raise ConfigurationError([*error.problems, *problems]) from None
    if problems:
        raise ConfigurationError(problems)
    return draft


class _DependencyAlert(pybreaker.CircuitBreakerListener):
    """Lets the application alert stand from the breaker's opening until it is closed again."""

    def __init__(self, severity: Severity, runbook_url: str) -> None:
        self._severity = severity
        self._runbook_url = runbook_url

    def state_change(self, cb: pybreaker.CircuitBreaker, old_state: Any, new_state: Any) -> None:  # noqa: ARG002
        """Raise or resolve; pybreaker calls this after each transition."""
        if new_state.name == pybreaker.STATE_OPEN:
            self.stand(cb)
        elif new_state.name == pybreaker.STATE_CLOSED:
            _resolve(str(cb.name))

    def stand(self, breaker: pybreaker.CircuitBreaker) -> None:
        """Raise it."""
        alert_manager.raise_alert(
            DEPENDENCY_ALERT,
            self._severity,
            summary=f"{breaker.name} is unavailable: its circuit breaker is open.",
            description=f"Calls to {breaker.name} fail at once. The breaker tries again every {breaker.reset_timeout:g} s.",
            labels={POLICY_LABEL: str(breaker.name)},
            runbook_url=self._runbook_url,
        )


class _DependencyAlerts:
    """The alerts of all breakers of a profile."""

    def __init__(self) -> None:
        self._listeners: dict[str, tuple[tuple[str, str], CircuitBreaker, _DependencyAlert]] = {}

    def go_by(self, profile: Profile) -> None:
        """Alert as the profile says from now on; an alert that stands does so as it says now, or no more."""
        runbook_url = profile.alerts.runbook_url.replace("{name}", DEPENDENCY_ALERT)
        wanted = {
            name: (settings.alert, runbook_url)
            for name, settings in profile.circuit_breakers.items()
            if settings.alert != "none"
        }
        for name, (what, breaker, listener) in list(self._listeners.items()):
            if wanted.get(name) != what:
                breaker.remove_listener(listener)
                del self._listeners[name]
                if name not in wanted:
                    _resolve(name)
        for name, what in wanted.items():
            if name not in self._listeners:
                breaker, listener = circuit_breakers.get(name), _DependencyAlert(Severity(what[0]), what[1])
                self._listeners[name] = what, breaker, listener
                breaker.add_listener(listener)
                if breaker.current_state != pybreaker.STATE_CLOSED:
                    listener.stand(breaker)


def _resolve(name: str) -> None:
    alert_manager.resolve_alert(DEPENDENCY_ALERT, labels={POLICY_LABEL: name})


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it; that thread does not exist here
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)
