"""What the tests of the containers share: where the files are, the compose command, and the way to say what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import pytest

from spanguard.stack import GoMissingError, StackSettings
from spanguard.stack.build import Builder
from spanguard.stack.manifest import read_manifest, stack_files

ROOT = Path(__file__).parents[2]
BASE = ROOT / "docker-compose.yml"
LOCAL = ROOT / "docker-compose.local.yml"
MANIFEST: Mapping[str, Any] = tomllib.loads((ROOT / "collector" / "stack.toml").read_text())
SERVERS: Mapping[str, dict[str, Any]] = MANIFEST["servers"]


def unavailable(reason: str) -> NoReturn:
    """Skip, or fail where the real servers are required."""
    if os.environ.get("SPANGUARD_REQUIRE_STACK") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def compose_command() -> list[str]:
    """Docker's own compose, or else the one built from its pinned module."""
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0:
        return [docker, "compose"]
    files = stack_files()
    builder = Builder(StackSettings.load(), read_manifest(files), files, progress=print)
    try:
        return [str(builder.build(["compose"])["compose"] / "cmd")]
    except GoMissingError as error:
        unavailable(str(error))
