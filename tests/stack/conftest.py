"""The real servers, once for all tests of this directory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spanguard.stack import GoMissingError, Stack, StackSettings
from stack.servers import Servers


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that use the stack are marked so, share one process, and may wait for a build before their time counts."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()) and item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.stack)
            item.add_marker(pytest.mark.slow)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(120, func_only=True))
            if config.pluginmanager.hasplugin("xdist"):
                item.add_marker(pytest.mark.xdist_group("stack"))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The collector, Jaeger, Prometheus, Alertmanager and VictoriaLogs on free ports, with short intervals.

    Without Go and without built servers the tests are skipped; with SPANGUARD_REQUIRE_STACK=1 they fail.
    """
    settings = StackSettings.load(
        data_dir=tmp_path_factory.mktemp("stack"),
        free_ports=True,
        evaluation_interval=1.0,
        metrics_flush_interval=0.5,
        rate_window=15.0,
        group_wait=0.1,
    )
    running = Stack(settings, progress=_say)
    try:
        running.up()
    except GoMissingError as error:
        if os.environ.get("SPANGUARD_REQUIRE_STACK") == "1":
            raise
        pytest.skip(str(error))
    yield running
    running.down()


@pytest.fixture(scope="session")
def servers(stack: Stack) -> Iterator[Servers]:
    """Questions to the servers of the stack."""
    endpoints = stack.status().endpoints
    assert endpoints is not None
    asked = Servers(endpoints)
    yield asked
    asked.close()


def _say(line: str) -> None:
    # Past pytest's capture: a build takes minutes, and who waits wants to see it.
    print(line, file=sys.__stderr__, flush=True)
