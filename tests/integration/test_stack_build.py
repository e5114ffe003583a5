"""Builds with the real Go, of a server small enough to take a second."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from spanguard.errors import ResourceUnavailableError
from spanguard.stack import GoMissingError, Stack, StackSettings
from spanguard.stack import build as build_module

pytestmark = [pytest.mark.go, pytest.mark.skipif(shutil.which("go") is None, reason="Go is not installed")]

Build = Callable[..., Path]


@pytest.fixture
def progress() -> list[str]:
    return []


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return Path(shutil.copytree(Path(__file__).parent / "stack_fixture", tmp_path / "files"))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def build(files: Path, cache: Path, progress: list[str]) -> Build:
    def run(*, force: bool = False, **changes: object) -> Path:
        settings = StackSettings.load(cache_dir=cache, **changes)
        return Stack(settings, files=files, progress=progress.append).build(force=force)["server"]

    return run


@pytest.fixture
def without_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], None]:
    def hide() -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(build_module, "_GO_USUAL_PLACE", tmp_path / "no" / "go")

    return hide


def builds(progress: list[str]) -> int:
    return sum("building with go" in line for line in progress)


def test_a_build_says_how_long_it_took_and_leaves_a_static_program(build: Build, progress: list[str]) -> None:
    directory = build()

    assert (directory / "server").stat().st_mode & 0o111
    assert any(line.startswith("server: built in ") for line in progress)
    assert b"ld-linux" not in (directory / "server").read_bytes()


def test_a_long_build_says_now_and_then_that_it_goes_on(
    build: Build, progress: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_module, "_HEARTBEAT", 0.01)
    build()

    assert "server: still building, 0 s so far" in progress


def test_what_is_in_the_cache_is_not_built_again(build: Build, progress: list[str]) -> None:
    assert build() == build()
    assert builds(progress) == 1


def test_force_builds_again(build: Build, progress: list[str]) -> None:
    assert build() == build(force=True)
    assert builds(progress) == 2


def test_a_changed_source_is_another_build(build: Build, files: Path) -> None:
    before = build()
    source = files / "server/main.go"
    source.write_text(source.read_text() + "\n// changed\n")

    assert build() != before


def test_a_changed_go_test_is_the_same_build(build: Build, files: Path, progress: list[str]) -> None:
    before = build()
    (files / "server/main_test.go").write_text("package main\n")

    assert build() == before
    assert builds(progress) == 1


def test_a_changed_flag_is_another_build(build: Build, files: Path) -> None:
    before = build()
    manifest = files / "stack.toml"
    manifest.write_text(manifest.read_text().replace('ldflags = "-s -w"', 'ldflags = "-s"'))

    assert build() != before


def test_a_failing_build_says_what_the_compiler_said_and_leaves_nothing_in_the_cache(
    build: Build, files: Path, cache: Path
) -> None:
    (files / "server/main.go").write_text("package main\n\nfunc main() { undefinedThing() }\n")

    with pytest.raises(
        ResourceUnavailableError, match=r"(?s)the build of server failed \(exit code 1\).*undefinedThing"
    ):
        build()

    assert [path.name for path in (cache / "bin").iterdir()] == [".server.lock"]


def test_the_checkout_stays_as_it_was(build: Build, files: Path) -> None:
    before = sorted(files.rglob("*"))
    build()

    assert sorted(files.rglob("*")) == before


def test_two_at_once_build_once(build: Build, progress: list[str]) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(build())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(found)) == 1
    assert len(found) == 3
    assert builds(progress) == 1


def test_a_missing_go_is_named_with_where_it_was_looked_for_and_what_to_do(
    build: Build, without_go: Callable[[], None]
) -> None:
    without_go()

    with pytest.raises(GoMissingError) as refusal:
        build()

    for part in (
        "server is not built yet",
        "no go on the PATH",
        "https://go.dev/dl/",
        "SPANGUARD_STACK_GO",
        "spanguard stack build",
    ):
        assert part in str(refusal.value)


def test_without_go_a_build_of_the_same_sources_is_still_found(build: Build, without_go: Callable[[], None]) -> None:
    built = build()
    without_go()

    assert build() == built


def test_without_go_a_build_of_other_sources_or_for_another_machine_is_no_find(
    build: Build, without_go: Callable[[], None]
) -> None:
    record = build() / "build.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "arch": "s390x"}))
    without_go()

    with pytest.raises(GoMissingError, match="is not built yet"):
        build()


def test_a_setting_that_names_no_go_is_refused(build: Build, tmp_path: Path) -> None:
    with pytest.raises(ResourceUnavailableError, match=r"stack setting go = '.*/nothing': there is no such program"):
        build(go=tmp_path / "nothing")


def test_a_go_that_is_too_old_is_refused_with_its_own_words(
    build: Build, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = files / "server/go.mod"
    module.write_text(module.read_text().replace("go 1.21", "go 1.999"))
    monkeypatch.setenv("GOTOOLCHAIN", "local")

    with pytest.raises(ResourceUnavailableError, match=r"(?s)requires go >= 1\.999.*https://go\.dev/dl/"):
        build()


def test_a_program_that_is_no_go_is_refused(build: Build, tmp_path: Path) -> None:
    program = tmp_path / "go"
    program.write_text("#!/bin/sh\necho this is no go >&2\nexit 1\n")
    program.chmod(0o755)

    with pytest.raises(ResourceUnavailableError, match=r"/go does not tell its version: this is no go"):
        build(go=program)


def test_a_cache_directory_that_cannot_be_used_is_named(files: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    stack = Stack(StackSettings.load(cache_dir=tmp_path / "file"), files=files)

    with pytest.raises(
        ResourceUnavailableError, match=r"the cache directory .*file/bin cannot be used.*SPANGUARD_CACHE"
    ):
        stack.build()
