"""Who installed only the wheel has the stack too: command, files and servers, away from any checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spanguard.stack import GoMissingError, Stack, StackSettings

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    out = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [uv, "build", "--wheel", "--out-dir", out, ROOT], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = out.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def spanguard(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command of a fresh environment with the wheel and its extra `cli`, run in an empty directory."""
    home = tmp_path_factory.mktemp("elsewhere")
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    for arguments in (
        ["venv", "--python", sys.executable, "venv"],
        ["pip", "install", "--python", "venv", f"{wheel}[cli]"],
    ):
        done = subprocess.run([uv, *arguments], cwd=home, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [home / "venv/bin/spanguard", *arguments],
            cwd=home,
            env={**environment, "SPANGUARD_STACK_DATA_DIR": str(home / "run"), "SPANGUARD_STACK_FREE_PORTS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def running(spanguard: Command) -> Iterator[Command]:
    try:
        Stack(StackSettings.load()).build()
    except GoMissingError as error:
        if os.environ.get("SPANGUARD_REQUIRE_STACK") == "1":
            raise
        pytest.skip(str(error))
    up = spanguard("stack", "up")
    try:
        assert up.returncode == 0, up.stderr
        yield spanguard
    finally:
        spanguard("stack", "down")


def test_the_wheel_carries_the_files_of_the_stack_and_nothing_of_a_build(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())

    files = "spanguard/stack/files/collector"
    assert {f"{files}/stack.toml", f"{files}/builder.yaml", f"{files}/config/collector.yaml"} <= names
    assert {f"{files}/distribution/go.sum", f"{files}/alertmanagerexporter/go.mod"} <= names
    assert [name for name in names if name.endswith((".log", ".tar", ".exe"))] == []
    assert max(entry.file_size for entry in zipfile.ZipFile(wheel).infolist()) < 1_000_000


def test_the_command_of_the_wheel_reads_the_stack_from_the_wheel(spanguard: Command) -> None:
    done = spanguard("stack", "logs", "nothing")

    assert "there are jaeger, victorialogs, alertmanager, prometheus, collector" in done.stderr


def test_up_from_the_wheel_makes_every_server_healthy(running: Command) -> None:
    status = json.loads(running("stack", "status", "--json").stdout)

    assert status["healthy"]
    assert len(status["servers"]) == 5


def test_the_wheel_finds_the_servers_that_a_checkout_built(running: Command) -> None:
    assert "building" not in running("stack", "build").stderr


def test_status_for_people_names_servers_states_and_addresses(running: Command) -> None:
    done = running("stack", "status")

    assert done.returncode == 0
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:6]] == [
        [name, "healthy"] for name in ("jaeger", "victorialogs", "alertmanager", "prometheus", "collector")
    ]
    assert "otlp_http    http://127.0.0.1:" in done.stdout


def test_down_from_the_wheel_leaves_nothing_running(running: Command) -> None:
    assert running("stack", "down").returncode == 0
    assert running("stack", "status").returncode == 1
