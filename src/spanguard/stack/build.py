"""Builds of the servers from their pinned Go modules, kept in a cache outside of any checkout.

A build is named by what it is made of: its go.mod, go.sum and further key files, its table in the manifest, the version of
Go and the platform. So a checkout never sees the servers of another, and what did not change is not built again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.errors import ResourceUnavailableError
from spanguard.stack.logs import last_lines
from spanguard.stack.manifest import BuildSpec, Generation, Manifest
from spanguard.stack.settings import Progress, StackSettings

_GO_DOWNLOAD = "https://go.dev/dl/"
_ADVICE = f"A newer Go is at {_GO_DOWNLOAD}; the variable SPANGUARD_STACK_GO names one that is not on the PATH."
_GO_USUAL_PLACE = Path("/usr/local/go/bin/go")
_HEARTBEAT = 20.0
_KEY_DIGITS = 16
_LINES_OF_A_FAILURE = 20
_RECORD = "build.json"
_GO_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class GoMissingError(ResourceUnavailableError):
    """A server is not built yet, and there is no Go to build it with."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A Go toolchain: its version, and the platform that it builds for."""

    version: str
    os: str
    arch: str


class Builder:
    """Builds what the manifest names, or finds it in the cache."""

    __slots__ = ("_bin", "_clock", "_files", "_manifest", "_progress", "_settings")

    def __init__(
        self,
        settings: StackSettings,
        manifest: Manifest,
        files: Path,
        *,
        progress: Progress,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._settings = settings
        self._manifest = manifest
        self._files = files
        self._progress = progress
        self._clock = clock
        self._bin = settings.cache_dir / "bin"

    def build(self, names: Iterable[str] | None = None, *, force: bool = False) -> dict[str, Path]:
        """The directory with the binaries of each build, by the name of the build.

        Args:
            names: which builds; those of all servers when left out.
            force: build also what is in the cache.

        Raises:
            GoMissingError: Go is needed and missing.
            ResourceUnavailableError: a build fails, such as with a Go that is too old.
        """
        if names is None:
            names = dict.fromkeys(server.build for server in self._manifest.servers.values())
        return {name: self._built(name, force=force) for name in names}

    def _built(self, name: str, *, force: bool = False) -> Path:
        go = self._find_go()
        if go is None:
            return self._built_elsewhere(name)
        spec = self._manifest.builds[name]
        toolchain = self._ask(go, spec)
        target = self._bin / f"{name}-{self._key(spec, toolchain)}"
        if force or not target.exists():
            with self._locked(name):
                # Another process may have built it while this one waited for the lock.
                if force or not target.exists():
                    self._build_into(target, name, spec, go, toolchain)
        return target

    def _build_into(self, target: Path, name: str, spec: BuildSpec, go: Path, toolchain: Toolchain) -> None:
        begun = self._clock.monotonic()
        self._progress(f"{name}: building with {toolchain.version} (minutes when the Go caches are cold)")
        with tempfile.TemporaryDirectory(dir=self._bin, prefix=f".{name}-") as scratch:
            work, out = Path(scratch), Path(scratch, "out")
            module = self._generate(spec, spec.generate, work) if spec.generate else self._files / spec.module
            self._run(name, self._go_build(go, spec, out), cwd=module, log=work / "log")
            missing = [binary for binary in spec.binaries if not (out / binary).is_file()]
            if missing:
                raise ResourceUnavailableError(
                    f"the build of {name} made no {', '.join(missing)}; stack.toml says that it does."
                )
            record = {"sources": self._sources(spec).hexdigest(), **asdict(toolchain)}
            (out / _RECORD).write_text(json.dumps(record) + "\n", "utf-8")
            shutil.rmtree(target, ignore_errors=True)
            out.rename(target)
        self._progress(f"{name}: built in {self._clock.monotonic() - begun:.1f} s")

    def _go_build(self, go: Path, spec: BuildSpec, out: Path) -> list[str]:
        return [
            str(go), "build", "-trimpath", "-buildvcs=false", "-mod=readonly", f"-p={self._settings.build_jobs}", f"-tags={','.join(spec.tags)}",
            f"-ldflags={spec.ldflags}", *spec.flags, f"-o={out}{os.sep}", *spec.packages,
        ]  # fmt: skip

    def _generate(self, spec: BuildSpec, generation: Generation, work: Path) -> Path:
        """Write the sources of a build with the tool that another build makes; returns their directory."""
        tool = self._built(generation.build) / generation.tool
        sources = work / "sources"
        sources.mkdir()
        for name in generation.copy_in:
            origin = self._files / name
            if origin.is_dir():
                shutil.copytree(origin, sources / name)
            else:
                shutil.copy(origin, sources / name)
        self._run(generation.tool, [str(tool), *generation.args], cwd=sources, log=work / "log")
        for name in ("go.mod", "go.sum"):
            shutil.copy(self._files / spec.module / name, sources / generation.into / name)
        return sources / generation.into

    def _run(self, name: str, argv: Sequence[str], *, cwd: Path, log: Path) -> None:
        begun = self._clock.monotonic()
        with log.open("wb") as output:
            running = subprocess.Popen(  # noqa: S603 - our own arguments, no shell
                argv, cwd=cwd, env=_go_environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        with running:
            try:
                while running.poll() is None:
                    with suppress(subprocess.TimeoutExpired):
                        running.wait(_HEARTBEAT)
                        break
                    self._progress(f"{name}: still building, {self._clock.monotonic() - begun:.0f} s so far")
            except BaseException:
                running.terminate()
                raise
        if running.returncode:
            said = "\n".join(last_lines(log, _LINES_OF_A_FAILURE))
            advice = f"\n{_ADVICE}" if "requires go >=" in said else ""
            raise ResourceUnavailableError(
                f"the build of {name} failed (exit code {running.returncode}). Its last lines:\n{said}{advice}"
            )

    def _sources(self, spec: BuildSpec) -> hashlib._Hash:
        """The digest over all that a build is made of, but for the toolchain; stack.toml defines it."""
        paths = {
            path
            for pattern in spec.key_files
            for path in self._files.glob(pattern)
            if not path.name.endswith("_test.go")
        }
        digest = hashlib.sha256()
        for path in sorted(path.relative_to(self._files).as_posix() for path in paths):
            digest.update(path.encode() + b"\0" + (self._files / path).read_bytes() + b"\0")
        table = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        digest.update(json.dumps(table, sort_keys=True, separators=(",", ":")).encode())
        return digest

    def _key(self, spec: BuildSpec, toolchain: Toolchain) -> str:
        digest = self._sources(spec)
        for part in (toolchain.version, toolchain.os, toolchain.arch):
            digest.update(part.encode() + b"\0")
        return digest.hexdigest()[:_KEY_DIGITS]

    def _find_go(self) -> Path | None:
        if self._settings.go is not None:
            found = shutil.which(self._settings.go)
            if found is None:
                raise ResourceUnavailableError(
                    f"stack setting go = {str(self._settings.go)!r}: there is no such program. Correct it, or unset "
                    "SPANGUARD_STACK_GO to have go looked for on the PATH."
                )
            return Path(found)
        found = shutil.which("go") or shutil.which(_GO_USUAL_PLACE)
        return Path(found) if found else None

    def _ask(self, go: Path, spec: BuildSpec) -> Toolchain:
        asked = subprocess.run(  # noqa: S603 - our own arguments, no shell
            [go, "env", "GOVERSION", "GOOS", "GOARCH"],
            cwd=self._files / spec.module,
            env=_go_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        answers = asked.stdout.split()
        if asked.returncode or len(answers) != 3:  # noqa: PLR2004 - one for each variable
            raise ResourceUnavailableError(
                f"{go} does not tell its version: {asked.stderr.strip() or asked.stdout.strip()}. {_ADVICE}"
            )
        return Toolchain(*answers)

    def _built_elsewhere(self, name: str) -> Path:
        """Without Go the version in the key is not known, yet a build of just these sources may be in the cache."""
        wanted = {
            "sources": self._sources(self._manifest.builds[name]).hexdigest(),
            "os": platform.system().lower(),
            "arch": _GO_ARCHITECTURES.get(platform.machine().lower(), platform.machine()),
        }
        for record in sorted(self._bin.glob(f"{name}-*/{_RECORD}")):
            if wanted.items() <= json.loads(record.read_text("utf-8")).items():
                return record.parent
        raise GoMissingError(
            f"the server {name} is not built yet and Go, which builds it, is missing: there is no go on the PATH and no {_GO_USUAL_PLACE}. "
            f"Install Go ({_GO_DOWNLOAD}), or name it in SPANGUARD_STACK_GO, then run: spanguard stack build"
        )

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        try:
            self._bin.mkdir(parents=True, exist_ok=True)
            lock = (self._bin / f".{name}.lock").open("ab")
        except OSError as error:
            raise ResourceUnavailableError(
                f"the cache directory {self._bin} cannot be used: {error.strerror}. Name another in the variable SPANGUARD_CACHE."
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._progress(f"{name}: another process builds it, waiting")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _go_environment() -> dict[str, str]:
    """Static binaries, which run in an empty container too; a workspace of the user's has no say in them."""
    return {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
