"""Where OTLP goes: a wrong address fails at start-up, a collector that does not answer is told once and not again."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterable
from typing import Final
from urllib.parse import SplitResult, urlsplit

from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_EXPORTER_OTLP_LOGS_ENDPOINT,
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
)

from spanguard.clock import SYSTEM_CLOCK
from spanguard.errors import ConfigurationError

DEFAULT_ENDPOINT: Final = "http://localhost:4318"
"""OpenTelemetry's default for OTLP over http/protobuf."""

QUIET_TIME: Final = 60.0
"""Seconds in which an exporter's logger says no more than one thing; at each batch it would be one line a second."""

_CONNECT_TIMEOUT: Final = 3.0
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_OF_SIGNAL: Final = {
    "traces": OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    "metrics": OTEL_EXPORTER_OTLP_METRICS_ENDPOINT,
    "logs": OTEL_EXPORTER_OTLP_LOGS_ENDPOINT,
}
_EXPORTER_LOGGERS: Final = ("trace_exporter", "metric_exporter", "_log_exporter")

_logger = logging.getLogger("spanguard")


def http_endpoints(signals: Iterable[str]) -> dict[str, str]:
    """Return the address that each signal goes to over HTTP, by the setting that says so."""
    chosen: dict[str, str] = {}
    for signal in signals:
        own = os.environ.get(_OF_SIGNAL[signal], "").strip()
        common = os.environ.get(OTEL_EXPORTER_OTLP_ENDPOINT, "").strip()
        chosen[_OF_SIGNAL[signal] if own else OTEL_EXPORTER_OTLP_ENDPOINT] = own or common or DEFAULT_ENDPOINT
    return chosen


def refuse_wrong_endpoints(endpoints: dict[str, str]) -> None:
    """Check that something could be sent to each address.

    Raises:
        ConfigurationError: to one or more it could not. What may be secret in it, userinfo and query, is left out.
    """
    problems = [
        f"{setting} is {_shown(endpoint)!r}; it must be a URL such as {DEFAULT_ENDPOINT}, http or https."
        for setting, endpoint in endpoints.items()
        if _address(endpoint) is None
    ]
    if problems:
        raise ConfigurationError(problems)


def warn_if_unreachable(endpoints: dict[str, str]) -> None:
    """Try each address once, in the background, and log one warning for each that does not answer."""
    threading.Thread(target=_try_all, args=(endpoints,), name="spanguard-endpoints", daemon=True).start()


def calm_exporters() -> None:
    """Let the loggers of the OTLP exporters repeat themselves no more than once in `QUIET_TIME`."""
    for name in _EXPORTER_LOGGERS:
        logger = logging.getLogger(f"opentelemetry.exporter.otlp.proto.http.{name}")
        if not any(isinstance(known, _OncePerQuietTime) for known in logger.filters):
            logger.addFilter(_OncePerQuietTime())


class _OncePerQuietTime(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self._said_at = -QUIET_TIME

    def filter(self, record: logging.LogRecord) -> bool:
        now = SYSTEM_CLOCK.monotonic()
        if record.levelno >= logging.WARNING and now - self._said_at < QUIET_TIME:
            return False
        self._said_at = now
        return True


def _try_all(endpoints: dict[str, str]) -> None:
    for setting, endpoint in endpoints.items():
        address = _address(endpoint)
        if address is None:
            continue
        try:
            socket.create_connection(address, timeout=_CONNECT_TIMEOUT).close()
        except OSError as error:
            _logger.warning(
                "no collector answers at %s (%s): %s. The application runs on; what cannot be exported in time is lost. "
                "Start one with `spanguard stack up`, or point %s at yours.",
                _shown(endpoint),
                setting,
                error.strerror or type(error).__name__,
                setting,
            )


def _address(endpoint: str) -> tuple[str, int] | None:
    try:
        url = urlsplit(endpoint)
        port = url.port
    except ValueError:
        return None
    if url.scheme not in _DEFAULT_PORTS or not url.hostname:
        return None
    return url.hostname, port or _DEFAULT_PORTS[url.scheme]


def _shown(endpoint: str) -> str:
    try:
        url = urlsplit(endpoint)
    except ValueError:
        return "not a URL"
    return SplitResult(url.scheme, url.netloc.rpartition("@")[2], url.path, "", "").geturl()
