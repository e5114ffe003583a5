"""Programs that nobody changed, under `opentelemetry-instrument`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spanguard.testing import OtlpReceiver

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path, otlp_receiver: OtlpReceiver) -> Run:
    """Run the source of a program to its end, with more environment variables if wanted; its signals reach `otlp_receiver`."""

    def run_app(source: str, **environment: str) -> subprocess.CompletedProcess[str]:
        app = tmp_path / "app.py"
        app.write_text(source)
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_receiver.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_SERVICE_NAME": "shop",
        }
        return subprocess.run(
            [Path(sys.executable).with_name("opentelemetry-instrument"), sys.executable, app],
            env={**os.environ, **settings, **environment},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    return run_app
