"""The stack as a whole: up, down, status, logs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.errors import ConfigurationError, ResourceUnavailableError
from spanguard.stack.build import Builder
from spanguard.stack.health import is_healthy
from spanguard.stack.images import find_docker, image_name, make_image
from spanguard.stack.interrupts import interrupts_deferred
from spanguard.stack.logs import last_lines, read_logs
from spanguard.stack.manifest import ServerSpec, read_manifest, stack_files
from spanguard.stack.ports import LOOPBACK, choose_ports
from spanguard.stack.processes import end, find, start
from spanguard.stack.settings import Progress, StackSettings
from spanguard.stack.state import RunRecord, ServerRecord, StateFile, data_dir_failure

_POLL_INTERVAL = 0.1
_LINES_OF_A_FAILURE = 10
_PROBE = "probe"
_INHERITED = frozenset(
    {"HOME", "PATH", "TMPDIR", "TZ", "LANG", "GOMAXPROCS", "GOMEMLIMIT", "SSL_CERT_DIR", "SSL_CERT_FILE"}
)
_INTERVALS = ("evaluation_interval", "metrics_flush_interval", "rate_window", "group_wait")


@dataclass(frozen=True, slots=True)
class StackEndpoints:
    """Where the servers of a run are reached: base URLs without a path, on the loopback interface."""

    otlp_http: str
    otlp_grpc: str
    jaeger: str
    prometheus: str
    alertmanager: str
    victorialogs: str


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One server of a run. Healthy means that its process lives and its health URL answers."""

    name: str
    pid: int
    running: bool
    healthy: bool
    ports: dict[str, int]
    url: str
    health_url: str
    log: Path


@dataclass(frozen=True, slots=True)
class StackStatus:
    """What is known of the run of one data directory; without a whole run there are no endpoints."""

    data_dir: Path
    healthy: bool
    started: datetime | None
    endpoints: StackEndpoints | None
    servers: tuple[ServerStatus, ...]


class Stack:
    """The native servers of one data directory.

    Args:
        settings: where and how; read from the environment when left out.
        files: the directory with `stack.toml` and what it names; the one of this installation when left out.
        progress: called with one line for each step that takes time.
        clock: the time that deadlines are measured with.
    """

    __slots__ = ("_builder", "_clock", "_files", "_manifest", "_progress", "_settings", "_state")

    def __init__(
        self,
        settings: StackSettings | None = None,
        *,
        files: Path | None = None,
        progress: Progress = lambda _line: None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._settings = settings or StackSettings.load()
        self._progress = progress
        self._clock = clock
        self._files = files or stack_files()
        self._manifest = read_manifest(self._files)
        self._builder = Builder(self._settings, self._manifest, self._files, progress=progress, clock=clock)
        self._state = StateFile(self._settings.data_dir)

    def build(self, *, force: bool = False) -> dict[str, Path]:
        """Build the servers, or find them in the cache; returns the directory of each build by its name.

        Raises:
            GoMissingError: Go is needed and missing.
            ResourceUnavailableError: a build fails.
        """
        built = self._builder.build(force=force)
        for name, directory in built.items():
            self._progress(f"{name}: {directory}")
        return built

    def images(self, *names: str) -> tuple[str, ...]:
        """Make container images out of the built servers, of all or of the named ones; returns the names of the images.

        Raises:
            ConfigurationError: there is no server of this name.
            ResourceUnavailableError: Docker is missing or fails, or a build does.
        """
        wanted = {name: self._spec(name) for name in names} or self._manifest.servers
        docker = find_docker()
        built = self._builder.build([_PROBE, *dict.fromkeys(spec.build for spec in wanted.values())])
        for name, spec in wanted.items():
            make_image(
                docker,
                name,
                spec,
                program=built[spec.build] / spec.binary,
                probe=built[_PROBE] / _PROBE,
                dockerfile=self._files / "Dockerfile",
            )
            self._progress(f"{name}: image {image_name(name)}")
        return tuple(image_name(name) for name in wanted)

    def up(self) -> StackEndpoints:
        """Start all servers, building those that are not built, and wait until each is healthy.

        Whatever goes wrong, also Ctrl-C, every server that was started is stopped again.

        Raises:
            ConfigurationError: the ports contradict each other or bear an unknown name.
            ResourceUnavailableError: the stack is up already, a port is taken, or a server does not come up.
        """
        with self._state.locked():
            self._refuse_when_up()
            ports = self._choose_ports()
            built = self._builder.build()
            run = RunRecord(self._clock.time(), ports)
            try:
                for name, spec in self._manifest.servers.items():
                    # Between its start and its record a server is in nobody's hands.
                    with interrupts_deferred():
                        server = self._start(name, spec, built[spec.build] / spec.binary, ports)
                        run = replace(run, servers=(*run.servers, server))
                        self._state.write(run)
                self._await_all(run)
            except BaseException:
                self._stop(run)
                raise
            return _endpoints(run)

    def down(self) -> tuple[str, ...]:
        """Stop every server that `up` started, the last one first; returns the names of those that were running.

        A process that merely bears a recorded id is left alone. Calling it again does nothing.

        Raises:
            ResourceUnavailableError: a server did not end, not even when killed.
        """
        with self._state.locked():
            run = self._state.read()
            if run is None:
                self._progress(f"the stack is not up (data directory {self._settings.data_dir})")
                return ()
            running = tuple(server.name for server in run.servers if find(server.process))
            self._stop(run)
            return running

    def status(self) -> StackStatus:
        """Which servers of the run live and answer, asked just now."""
        run = self._state.read()
        if run is None:
            return StackStatus(self._settings.data_dir, healthy=False, started=None, endpoints=None, servers=())
        complete = len(run.servers) == len(self._manifest.servers)
        servers = tuple(self._status_of(server, run.ports) for server in run.servers)
        return StackStatus(
            data_dir=self._settings.data_dir,
            healthy=complete and all(server.healthy for server in servers),
            started=datetime.fromtimestamp(run.started, UTC),
            endpoints=_endpoints(run) if complete else None,
            servers=servers,
        )

    def logs(self, server: str | None = None, *, lines: int = 50, follow: bool = False) -> Iterator[tuple[str, str]]:
        """Yield (server, line): the last lines of one server's log or of all, with `follow` also what is added, without end.

        Raises:
            ConfigurationError: there is no server of this name.
        """
        if server is not None:
            self._spec(server)
        wanted = {name: self._log(name) for name in self._manifest.servers if server in {None, name}}
        return read_logs(wanted, lines=lines, follow=follow, sleep=self._clock.sleep)

    def _spec(self, server: str) -> ServerSpec:
        servers = self._manifest.servers
        if server not in servers:
            raise ConfigurationError(f"{server!r} is no server of the stack; there are {', '.join(servers)}.")
        return servers[server]

    def _refuse_when_up(self) -> None:
        run = self._state.read()
        if run is not None and run.any_running():
            raise ResourceUnavailableError(
                f"the stack of {self._settings.data_dir} is up already. See it with `spanguard stack status`; stop it with "
                "`spanguard stack down`, or start a second one with another --data-dir and --free-ports."
            )

    def _choose_ports(self) -> dict[str, int]:
        listeners = {name: self._manifest.listener(name) for name in self._manifest.ports}
        return choose_ports(
            self._manifest.ports, self._settings.ports, listeners=listeners, free=self._settings.free_ports
        )

    def _start(self, name: str, spec: ServerSpec, program: Path, ports: dict[str, int]) -> ServerRecord:
        directory = self._settings.data_dir / name
        values = {
            "files": str(directory / "files"),
            "data": str(directory / "data"),
            **{f"port_{port_name}": str(port) for port_name, port in ports.items()},
            **{setting: _duration(getattr(self._settings, setting)) for setting in _INTERVALS},
        }
        self._progress(f"{name}: starting")
        self._prepare(directory, spec, values)
        process = start(
            [str(program), *(argument.format_map(values) for argument in spec.args)],
            env=_inherited() | {variable: template.format_map(values) for variable, template in spec.env.items()},
            cwd=directory / "data",
            log=self._log(name),
        )
        return ServerRecord(name, process, spec.health.format_map(values), spec.url.format_map(values))

    def _prepare(self, directory: Path, spec: ServerSpec, values: dict[str, str]) -> None:
        """Make the directories of a server, write its configuration, put the log of the run before aside."""
        log = self._log(directory.name)
        try:
            for made in (directory / "data", log.parent):
                made.mkdir(parents=True, exist_ok=True)
            for file in spec.files:
                target = directory / "files" / file.to_file
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(file.render(self._files, values), "utf-8")
            if log.exists():
                log.replace(log.with_suffix(".previous.log"))
        except OSError as error:
            raise data_dir_failure(self._settings.data_dir, error) from error

    def _await_all(self, run: RunRecord) -> None:
        for server in run.servers:
            self._await_health(server)
        for server in run.servers:
            # Its answer may have come from another program that took the port in between.
            if find(server.process) is None:
                raise self._start_failure(server, "ended after its start")

    def _await_health(self, server: ServerRecord) -> None:
        begun = self._clock.monotonic()
        deadline = begun + self._settings.start_timeout
        while not is_healthy(server.health_url):
            if find(server.process) is None:
                raise self._start_failure(server, "ended before it was healthy")
            if self._clock.monotonic() >= deadline:
                limit = f"{self._settings.start_timeout:g} s (setting start_timeout)"
                raise self._start_failure(
                    server, f"was not healthy within {limit}: {server.health_url} does not answer"
                )
            self._clock.sleep(_POLL_INTERVAL)
        self._progress(f"{server.name}: healthy at {server.url}")

    def _start_failure(self, server: ServerRecord, what: str) -> ResourceUnavailableError:
        log = self._log(server.name)
        said = "\n".join(last_lines(log, _LINES_OF_A_FAILURE))
        return ResourceUnavailableError(
            f"{server.name} {what}. The servers are stopped again. The last lines of {log}:\n{said}"
        )

    def _stop(self, run: RunRecord) -> None:
        # Nothing else in between: a progress callback that fails must not keep a server alive.
        in_time = {
            server.name: end(server.process, grace=self._settings.stop_grace, clock=self._clock)
            for server in reversed(run.servers)
        }
        left = [f"{server.name} (process {server.process.pid})" for server in run.servers if find(server.process)]
        if left:
            raise ResourceUnavailableError(
                f"{', '.join(left)} did not end, not even when killed. Run `spanguard stack down` again."
            )
        self._state.clear()
        for name, ended in in_time.items():
            self._progress(f"{name}: {'stopped' if ended else 'killed, it did not end in time'}")

    def _status_of(self, server: ServerRecord, ports: dict[str, int]) -> ServerStatus:
        running = find(server.process) is not None
        return ServerStatus(
            name=server.name,
            pid=server.process.pid,
            running=running,
            healthy=running and is_healthy(server.health_url),
            ports={name: port for name, port in ports.items() if self._manifest.listener(name) == server.name},
            url=server.url,
            health_url=server.health_url,
            log=self._log(server.name),
        )

    def _log(self, name: str) -> Path:
        return self._settings.data_dir / "logs" / f"{name}.log"


def _endpoints(run: RunRecord) -> StackEndpoints:
    urls = {server.name: server.url for server in run.servers}
    return StackEndpoints(
        otlp_http=f"http://{LOOPBACK}:{run.ports['otlp_http']}",
        otlp_grpc=f"http://{LOOPBACK}:{run.ports['otlp_grpc']}",
        jaeger=urls["jaeger"],
        prometheus=urls["prometheus"],
        alertmanager=urls["alertmanager"],
        victorialogs=urls["victorialogs"],
    )


def _inherited() -> dict[str, str]:
    """What a server takes over from this process's environment: not an application's OTEL_* settings, and no secret."""
    return {name: value for name, value in os.environ.items() if name in _INHERITED or name.startswith("SPANGUARD_")}


def _duration(seconds: float) -> str:
    """Seconds as Go and Prometheus write a duration, to the millisecond."""
    return f"{seconds:.0f}s" if seconds == int(seconds) else f"{seconds * 1000:.0f}ms"
