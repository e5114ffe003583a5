"""The manifest of the servers, `collector/stack.toml`: how each is built, started and asked for its health."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from spanguard.errors import ConfigurationError, ResourceUnavailableError


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Generation(_Table):
    """Sources written by a tool, before they are compiled."""

    build: str
    tool: str
    args: tuple[str, ...]
    copy_in: tuple[str, ...]
    into: str

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=lambda name: name.removesuffix("_in"))


class BuildSpec(_Table):
    """One `go build`."""

    module: str
    packages: tuple[str, ...]
    tags: tuple[str, ...]
    ldflags: str
    flags: tuple[str, ...]
    binaries: tuple[str, ...]
    key_files: tuple[str, ...]
    generate: Generation | None = None


class FileSpec(BaseModel):
    """A configuration file, with the texts in it that a run replaces."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=lambda name: name.removesuffix("_file"))

    from_file: str
    to_file: str
    replace: dict[str, str]

    def render(self, files: Path, values: dict[str, str]) -> str:
        """The text of the file for a run with these values."""
        text = (files / self.from_file).read_text("utf-8")
        for found, template in self.replace.items():
            if found not in text:
                raise ConfigurationError(
                    f"{self.from_file} lacks the text {found!r}, which stack.toml says a run replaces."
                )
            text = text.replace(found, template.format_map(values))
        return text


class ServerSpec(_Table):
    """One server; texts with placeholders are templates of `str.format`."""

    build: str
    binary: str
    args: tuple[str, ...]
    env: dict[str, str]
    health: str
    url: str
    files: tuple[FileSpec, ...]
    volume: str | None = None


class Manifest(_Table):
    """What can be built and run; servers are in start order."""

    ports: dict[str, int]
    builds: dict[str, BuildSpec]
    servers: dict[str, ServerSpec]

    def listener(self, port: str) -> str:
        """The server that listens on the port of this name: the first that mentions it, for servers start before those that call them."""
        mark = f"{{port_{port}}}"
        return next(
            name
            for name, server in self.servers.items()
            if any(mark in text for text in (*server.args, *server.env.values()))
        )


def stack_files() -> Path:
    """The directory of the stack's files: within the installed package, or `collector/` of the checkout.

    Raises:
        ResourceUnavailableError: neither is there.
    """
    packaged = Path(str(resources.files("spanguard.stack") / "files" / "collector"))
    checkout = Path(__file__).parents[3] / "collector"
    for directory in (packaged, checkout):
        if (directory / "stack.toml").is_file():
            return directory
    raise ResourceUnavailableError(
        f"the files of the stack are neither in {packaged} nor in {checkout}. Install spanguard from its wheel, or from a whole checkout."
    )


def read_manifest(files: Path) -> Manifest:
    """Read `stack.toml` of this directory."""
    return Manifest.model_validate(tomllib.loads((files / "stack.toml").read_text("utf-8")))
