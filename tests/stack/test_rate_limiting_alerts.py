"""Real faults of a shared limit and of a bounded queue fire their alerts, and the alerts clear when the faults are over."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.redis_server import RedisServer
from stack.servers import Servers, awaited

SERVICE = "rate_limiting_under_test"


class Program:
    """The program under fault; it does what it is told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def do(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def program(servers: Servers, redis_server: RedisServer) -> Iterator[Program]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("rate_limiting_program.py"), redis_server.url],
        env={
            **environment,
            "OTEL_EXPORTER_OTLP_ENDPOINT": servers.endpoints.otlp_http,
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
        },
        stdin=subprocess.PIPE,
        text=True,
    ) as process:
        yield Program(process)
        process.communicate(timeout=30)
    assert process.returncode == 0


def of_program(servers: Servers, alert: str) -> list[dict[str, Any]]:
    return [one for one in servers.alerts(alert) if one["labels"]["service_name"] == SERVICE]


def labels(alert: str, policy: str) -> dict[str, str]:
    return {
        "alertname": alert,
        "severity": "warning",
        "service_name": SERVICE,
        "deployment_environment": "testing",
        "spanguard_policy_name": policy,
    }


def test_a_dead_redis_fires_until_it_is_back(servers: Servers, redis_server: RedisServer, program: Program) -> None:
    program.do("ask")
    awaited(lambda: servers.promql(f'spanguard_rate_limiting_storage_status{{service_name="{SERVICE}"}}'))
    assert not of_program(servers, "RateLimiterDegraded")

    redis_server.kill()
    program.do("ask")

    (alert,) = awaited(lambda: of_program(servers, "RateLimiterDegraded"))
    assert alert["labels"] == labels("RateLimiterDegraded", "shared")

    redis_server.start()

    assert awaited(lambda: not of_program(servers, "RateLimiterDegraded"))


def test_a_queue_that_sheds_fires_until_it_has_stopped(servers: Servers, program: Program) -> None:
    program.do("put 5")
    awaited(lambda: servers.promql(f'spanguard_backpressure_depth{{service_name="{SERVICE}"}} == 5'))
    assert not of_program(servers, "BackpressureShedding")

    program.do("put 40")

    (alert,) = awaited(lambda: of_program(servers, "BackpressureShedding"))
    assert alert["labels"] == labels("BackpressureShedding", "bounded")
    assert alert["annotations"]["summary"].startswith(f"The queue bounded of {SERVICE} loses ")

    assert awaited(lambda: not of_program(servers, "BackpressureShedding"))
