"""A real attack fires its alert, which clears when the attack is over."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spanguard import semconv
from stack.servers import Servers, awaited

SERVICE = "validation_under_test"

Send = Callable[[str], None]


@pytest.fixture(scope="module")
def send(servers: Servers) -> Iterator[Send]:
    """Send inputs to the program."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("validation_program.py")],
        env={
            **environment,
            "OTEL_EXPORTER_OTLP_ENDPOINT": servers.endpoints.otlp_http,
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
        },
        stdin=subprocess.PIPE,
        text=True,
    ) as process:

        def write(line: str) -> None:
            assert process.stdin is not None
            process.stdin.write(f"{line}\n")
            process.stdin.flush()

        yield write
        process.communicate(timeout=30)
    assert process.returncode == 0


def spikes(servers: Servers) -> list[dict[str, Any]]:
    return [one for one in servers.alerts("ThreatSpike") if one["labels"]["service_name"] == SERVICE]


def test_an_attack_fires_until_it_is_over(servers: Servers, send: Send) -> None:
    send("harmless 100")
    awaited(lambda: servers.promql(f'spanguard_validation_checks_total{{service_name="{SERVICE}"}} == 100'))
    assert not spikes(servers)

    send("attack 100")

    (alert,) = awaited(lambda: spikes(servers))
    assert alert["labels"] == {
        "alertname": "ThreatSpike",
        "severity": "warning",
        "service_name": SERVICE,
        "deployment_environment": "testing",
        "spanguard_validation_type": "string",
    }
    assert alert["annotations"]["summary"].startswith(f"Of the inputs of type string of {SERVICE}, ")
    (told, *_) = awaited(
        lambda: servers.logsql(f'event_name:="{semconv.VALIDATION_THREAT_EVENT.name}" AND "service.name":="{SERVICE}"')
    )
    assert told["spanguard.validation.families"] == "sql_injection"
    assert "OR 1" not in repr(told)

    assert awaited(lambda: not spikes(servers))
