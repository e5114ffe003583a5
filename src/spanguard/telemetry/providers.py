"""`setup()`: the providers of this process, built from the environment or joined where the application has its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Final

from opentelemetry.sdk.environment_variables import OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.semconv.attributes.service_attributes import SERVICE_NAME, SERVICE_VERSION

from spanguard import semconv
from spanguard.clock import SYSTEM_CLOCK
from spanguard.errors import ConfigurationError
from spanguard.telemetry import _sdk
from spanguard.telemetry.endpoints import calm_exporters, http_endpoints, refuse_wrong_endpoints, warn_if_unreachable
from spanguard.telemetry.internal import safely

FLUSH_TIMEOUT: Final = 5.0
"""Seconds that flushing may take in all by default; a dead collector must not hold up an exit for longer."""


class Telemetry:
    """The providers of this process: those that spanguard built, and those that it joined.

    Attributes:
        built: the signals ("traces", "metrics", "logs") whose provider `setup` built and will shut down.
        joined: the signals whose provider was there before; they belong to the application.
    """

    def __init__(self, built: tuple[_sdk.Signal, ...]) -> None:
        self.built = built
        self.joined: tuple[_sdk.Signal, ...] = tuple(signal for signal in _sdk.SIGNALS if signal not in built)
        self._lock = threading.Lock()
        self._is_shut_down = False

    def force_flush(self, timeout: float = FLUSH_TIMEOUT) -> bool:
        """Export what is pending now, all signals side by side. Tell whether it was all taken within `timeout` seconds."""
        return self._for_each(_sdk.SIGNALS, "force_flush", timeout)

    def shutdown(self, timeout: float = FLUSH_TIMEOUT) -> bool:
        """Flush everything, and shut down what `setup` built. A second call does nothing.

        Returns whether all of it was done within `timeout` seconds; what was not goes on in daemon threads.
        """
        with self._lock:
            if self._is_shut_down:
                return True
            self._is_shut_down = True
        joined_are_flushed = self._for_each(self.joined, "force_flush", timeout)
        return self._for_each(self.built, "shutdown", timeout) and joined_are_flushed

    def start_again_in_child(self) -> None:
        """Drop a lock that another thread of the parent may have held."""
        self._lock = threading.Lock()

    def _for_each(self, signals: tuple[_sdk.Signal, ...], method: str, timeout: float) -> bool:
        results: list[bool] = []

        def run(provider: object) -> None:
            with safely(method):
                if method == "force_flush":
                    results.append(bool(provider.force_flush(int(timeout * 1000))))  # type: ignore[attr-defined]
                else:
                    provider.shutdown()  # type: ignore[attr-defined]
                    results.append(True)

        providers = [p for p in map(_sdk.current_provider, signals) if hasattr(p, method)]
        threads = [threading.Thread(target=run, args=(provider,), daemon=True) for provider in providers]
        for thread in threads:
            thread.start()
        deadline = SYSTEM_CLOCK.monotonic() + timeout
        for thread in threads:
            thread.join(max(0.0, deadline - SYSTEM_CLOCK.monotonic()))
        return len(results) == len(providers) and all(results)


_telemetry: Telemetry | None = None
_lock = threading.Lock()


def setup(
    *,
    service_name: str | None = None,
    service_version: str | None = None,
    environment: str | None = None,
    resource_attributes: Mapping[str, str] | None = None,
) -> Telemetry:
    """Set up OpenTelemetry for this process, or join what the application has set up. A second call changes nothing.

    A signal whose provider is already set is joined: spanguard uses it as it is. For the others a provider is built
    with an OTLP exporter (http/protobuf, to the local collector) unless the environment says otherwise: every
    `OTEL_*` variable of the SDK is honoured, and wins over the arguments. `service.instance.id` is made by the SDK,
    anew in a forked child. Guards that were built before `setup` lose none of their counts.

    Args:
        service_name: `service.name`, the application.
        service_version: `service.version`.
        environment: `deployment.environment.name`, such as "production".
        resource_attributes: further resource attributes.

    Raises:
        ConfigurationError: the environment names an exporter, a protocol or a file that cannot be had, or an address
            that is no URL. A collector that does not answer is no error: it is logged once, and the application runs on.
    """
    global _telemetry  # noqa: PLW0603 - a documented singleton: a process has one set of providers
    with _lock:
        if _telemetry is not None:
            return _telemetry
        missing = [signal for signal in _sdk.SIGNALS if _sdk.current_provider(signal) is None]
        arguments = {
            **(resource_attributes or {}),
            SERVICE_NAME: service_name,
            SERVICE_VERSION: service_version,
            semconv.DEPLOYMENT_ENVIRONMENT: environment,
        }
        try:
            endpoints = http_endpoints(_sdk.signals_over_http(missing))
            refuse_wrong_endpoints(endpoints)
            _sdk.build_providers(missing, _without_what_the_environment_says(arguments))
        except (RuntimeError, OSError) as error:
            raise ConfigurationError(
                f"OpenTelemetry could not be set up from the OTEL_* variables: {error}. "
                "Check OTEL_TRACES_EXPORTER, OTEL_METRICS_EXPORTER, OTEL_LOGS_EXPORTER (otlp, console, none), "
                "OTEL_EXPORTER_OTLP_PROTOCOL (http/protobuf) and OTEL_CONFIG_FILE."
            ) from error
        calm_exporters()
        warn_if_unreachable(endpoints)
        _telemetry = Telemetry(tuple(missing))
        return _telemetry


def _without_what_the_environment_says(arguments: Mapping[str, str | None]) -> dict[str, str]:
    declared = {pair.partition("=")[0].strip() for pair in os.environ.get(OTEL_RESOURCE_ATTRIBUTES, "").split(",")}
    if os.environ.get(OTEL_SERVICE_NAME):
        declared.add(SERVICE_NAME)
    return {key: value for key, value in arguments.items() if value is not None and key not in declared}


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it; that thread does not exist here
    _lock = threading.Lock()
    if _telemetry is None:
        return
    _telemetry.start_again_in_child()
    if "metrics" in _telemetry.built:
        provider = _sdk.current_provider("metrics")
        if isinstance(provider, MeterProvider):
            _sdk.forget_parent_metrics(provider)


os.register_at_fork(after_in_child=_after_fork_in_child)
