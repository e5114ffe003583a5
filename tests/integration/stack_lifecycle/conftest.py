"""Stacks of small Go servers, built by the real builder, one in the place of each big one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.stack_lifecycle.runs import MakeStack
from spanguard.stack import Stack, StackSettings

FILES = Path(__file__).parent.parent / "stack_fixture"


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One build of the small server for all tests."""
    cache = tmp_path_factory.mktemp("cache")
    Stack(StackSettings.load(cache_dir=cache), files=FILES).build()
    return cache


@pytest.fixture
def progress() -> list[str]:
    return []


@pytest.fixture
def make_stack(tmp_path: Path, cache: Path, progress: list[str]) -> Iterator[MakeStack]:
    """Stacks of one data directory; `modes` says which servers are not well."""
    made: list[Stack] = []

    def make(*, modes: dict[str, str] | None = None, data_dir: Path | None = None, **changes: object) -> Stack:
        files = tmp_path / "files"
        shutil.copytree(FILES, files, dirs_exist_ok=True)
        manifest = (FILES / "stack.toml").read_text()
        for server, mode in (modes or {}).items():
            head, table, tail = manifest.partition(f"[servers.{server}]")
            manifest = head + table + tail.replace("-mode=well", f"-mode={mode}", 1)
        (files / "stack.toml").write_text(manifest)
        settings = StackSettings.load(
            **{"data_dir": data_dir or tmp_path / "run", "cache_dir": cache, "free_ports": True, **changes}
        )
        made.append(Stack(settings, files=files, progress=progress.append))
        return made[-1]

    yield make
    for stack in made:
        stack.down()


@pytest.fixture
def stack(make_stack: MakeStack) -> Stack:
    return make_stack()
