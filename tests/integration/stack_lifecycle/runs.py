"""What is at work of a run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from spanguard.stack import Stack

GO = [pytest.mark.go, pytest.mark.skipif(shutil.which("go") is None, reason="Go is not installed")]

MakeStack = Callable[..., Stack]


def pids(stack: Stack) -> list[int]:
    return [server.pid for server in stack.status().servers]


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def servers_under(directory: Path) -> list[psutil.Process]:
    """Every process at work in this directory, however it came there."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(directory) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found
