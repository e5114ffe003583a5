"""The programs of the demonstration, each a process of its own: the application and its other ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from tge_monitor.other_ends.content import TWITTER_PATH

_STOP_TIMEOUT: Final = 15.0

# How soon each signal leaves the process; the defaults of OpenTelemetry wait up to a minute.
_EXPORT_SOON: Final = {
    "OTEL_BSP_SCHEDULE_DELAY": "200",
    "OTEL_BLRP_SCHEDULE_DELAY": "200",
    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
}
_POLL_OFTEN: Final = {
    "TGE_TWITTER_INTERVAL": "0.5",
    "TGE_FEEDS_INTERVAL": "2",
    "TGE_DIGEST_INTERVAL": "2",
}


class DemoError(Exception):
    """A program of the demonstration did not start."""


@dataclass(frozen=True, slots=True)
class OtherEnds:
    """The HTTP service with switchable faults, and how the application is pointed at it."""

    url: str
    settings: Mapping[str, str]

    def break_twitter(self) -> None:
        """Answer every request for posts with 503 from now on."""
        fault = {"path": TWITTER_PATH, "kind": "status", "status": 503}
        httpx.put(f"{self.url}/_admin/faults", json=fault, trust_env=False).raise_for_status()

    def heal(self) -> None:
        """Answer everything well again."""
        httpx.delete(f"{self.url}/_admin/faults", trust_env=False).raise_for_status()


@contextmanager
def other_ends() -> Iterator[OtherEnds]:
    """Run the other ends for the length of the block."""
    with _program([sys.executable, "-m", "tge_monitor.other_ends"], os.environ) as said:
        yield OtherEnds(said["http"], said["settings"])


@contextmanager
def application(ends: OtherEnds, otlp_endpoint: str, directory: Path) -> Iterator[str]:
    """Run the application for the length of the block; yields the address of its API."""
    environment = {
        **_without_telemetry_settings(os.environ),
        **ends.settings,
        **_EXPORT_SOON,
        **_POLL_OFTEN,
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_endpoint,
        "TGE_PROFILE": "demo",
        "TGE_ENVIRONMENT": "development",
        "TGE_DATABASE_URL": f"sqlite:///{directory / 'demo.db'}",
        "SPANGUARD_DEAD_LETTERS__MAIL_DIGEST__URL": f"sqlite:///{directory / 'letters.db'}",
        "TGE_RECIPIENTS": "you@example.org",
        "TGE_PORT": "0",
    }
    with (directory / "tge_monitor.log").open("wb") as log:
        command = [sys.executable, "-m", "tge_monitor"]
        with _program(command, environment, log=log) as said:
            yield said["api"]


@contextmanager
def _program(command: list[str], environment: Mapping[str, str], log: Any = None) -> Iterator[dict[str, Any]]:
    """Run a program that prints one line of JSON when it is ready; end it by its id."""
    process = subprocess.Popen(command, env=dict(environment), stdout=subprocess.PIPE, stderr=log, text=True)  # noqa: S603 - our own modules
    try:
        line = process.stdout.readline() if process.stdout is not None else ""
        if not line:
            where = f"; see {log.name}" if log is not None else ""
            raise DemoError(f"{' '.join(command[1:])} ended with exit code {process.wait()}{where}")
        yield json.loads(line)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _without_telemetry_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out what would send the demonstration's signals elsewhere, or give it other guards."""
    return {key: value for key, value in environment.items() if not key.startswith(("OTEL_", "TGE_", "SPANGUARD_"))}
