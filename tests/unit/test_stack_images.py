from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from spanguard.errors import ConfigurationError, ResourceUnavailableError
from spanguard.stack import Stack, StackSettings
from spanguard.stack.images import find_docker, make_image
from spanguard.stack.manifest import ServerSpec, stack_files

DOCKERFILE = stack_files() / "Dockerfile"
SPEC = ServerSpec(build="b", binary="b", args=(), env={}, health="", url="", files=(), volume="/var/lib/b")


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(StackSettings.load(data_dir=tmp_path / "run", cache_dir=tmp_path / "cache"))


def test_a_missing_docker_is_said_with_the_way_to_do_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ResourceUnavailableError, match=r"none on the PATH.*spanguard stack up"):
        find_docker()


def test_a_missing_docker_is_noticed_before_anything_is_built(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ResourceUnavailableError, match="none on the PATH"):
        stack.images()

    assert not (tmp_path / "cache").exists()


def test_an_unknown_server_is_refused_with_the_known_ones(stack: Stack) -> None:
    with pytest.raises(ConfigurationError, match=r"'grafana' is no server of the stack; there are jaeger, .*collector"):
        stack.images("grafana")


@pytest.mark.skipif(shutil.which("docker") is None, reason="the docker command is not installed")
def test_what_docker_says_is_in_the_message_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine")
    program = tmp_path / "program"
    program.touch()

    with pytest.raises(ResourceUnavailableError, match=r"spanguard/b:local \(exit code 1\)(.|\n)*no-engine"):
        make_image(find_docker(), "b", SPEC, program=program, probe=program, dockerfile=DOCKERFILE)
