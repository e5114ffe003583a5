from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spanguard import __version__

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command as its own process, on an empty data directory, its output piped."""

    def run(*arguments: str, before: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "SPANGUARD_STACK_DATA_DIR": str(tmp_path / "run"), **variables}
        program = f"{before}\nimport sys\nfrom spanguard.cli import main\nsys.argv[0] = 'spanguard'\nmain()"
        return subprocess.run(
            [sys.executable, "-c", program, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_version_prints_the_version(cli: Cli) -> None:
    assert cli("--version").stdout == f"spanguard {__version__}\n"


@pytest.mark.parametrize("library", ["typer", "rich"])
def test_a_missing_extra_is_one_line_and_exit_code_2(cli: Cli, library: str) -> None:
    done = cli("--version", before=f"import sys; sys.modules[{library!r}] = None")
    assert done.returncode == 2
    assert (
        done.stderr == f"spanguard: the command needs {library}, which is not installed: pip install 'spanguard[cli]'\n"
    )


def test_an_error_of_ours_is_one_message_and_exit_code_2(cli: Cli) -> None:
    done = cli("stack", "status", SPANGUARD_STACK_START_TIMEOUT="soon")
    assert done.returncode == 2
    assert done.stderr.startswith("spanguard: stack setting start_timeout = 'soon': ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_unknown_command_is_exit_code_2(cli: Cli) -> None:
    assert cli("stack", "explode").returncode == 2


def test_status_without_a_run_says_how_to_start_one_with_exit_code_1(cli: Cli, tmp_path: Path) -> None:
    done = cli("stack", "status")
    assert done.returncode == 1
    assert done.stdout == f"The stack is not up (data directory {tmp_path}/run). Start it with: spanguard stack up\n"


def test_status_as_json_can_be_read_by_a_program(cli: Cli, tmp_path: Path) -> None:
    done = cli("stack", "status", "--json")
    assert json.loads(done.stdout) == {
        "data_dir": str(tmp_path / "run"),
        "healthy": False,
        "started": None,
        "endpoints": None,
        "servers": [],
    }


def test_down_without_a_run_does_nothing_and_succeeds(cli: Cli) -> None:
    assert cli("stack", "down").returncode == 0


def test_a_port_that_is_no_pair_is_refused_with_an_example(cli: Cli) -> None:
    done = cli("stack", "up", "--port", "9090")
    assert done.returncode == 2
    assert done.stderr == "spanguard: --port 9090: NAME=PORT is expected, such as --port prometheus=19090.\n"


def test_a_port_of_an_unknown_name_is_refused_with_the_known_ones(cli: Cli) -> None:
    done = cli("stack", "up", "--port", "jeager=9090")
    assert done.returncode == 2
    assert "ports.jeager = 9090: there is no port of this name; there are otlp_grpc, otlp_http," in done.stderr


def test_logs_of_an_unknown_server_are_refused_with_the_known_ones(cli: Cli) -> None:
    done = cli("stack", "logs", "grafana")
    assert done.returncode == 2
    assert "'grafana' is no server of the stack; there are jaeger, " in done.stderr


def test_what_is_piped_is_plain(cli: Cli) -> None:
    assert "\x1b" not in cli("stack", "status").stdout
