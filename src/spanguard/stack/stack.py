"""The stack as a whole: up, down, status, logs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.errors import ConfigurationError, ResourceUnavailableError
from spanguard.stack import ports as port_table
from spanguard.stack.build import Builder
from spanguard.stack.health import is_healthy
from spanguard.stack.logs import last_lines, read_logs
from spanguard.stack.manifest import Manifest, ServerSpec
from spanguard.stack.processes import ProcessRecord, end, find, start
from spanguard.stack.settings import StackSettings
from spanguard.stack.state import RunRecord, ServerRecord, StateFile

_POLL_INTERVAL = 0.1
_LINES_OF_A_FAILURE = 10


@dataclass(frozen=True, slots=True)
class StackEndpoints:
    """Where the servers of a run are reached: base URLs without a path, on the loopback interface."""

    otlp_http: str
    otlp_grpc: str
    jaeger: str
    prometheus: str
    alertmanager: str
    victorialogs: str


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One server of a run. Healthy means that its process lives and its health URL answers."""

    name: str
    pid: int
    running: bool
    healthy: bool
    ports: dict[str, int]
    health_url: str
    log: Path


@dataclass(frozen=True, slots=True)
class StackStatus:
    """What is known of the run of one data directory; without a run there are no servers and no endpoints."""

    data_dir: Path
    healthy: bool
    started: datetime | None
    endpoints: StackEndpoints | None
    servers: tuple[ServerStatus, ...]
