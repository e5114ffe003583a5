"""`spanguard stack`: build, start, stop and look at the native servers."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from spanguard.errors import ConfigurationError
from spanguard.stack import Stack, StackSettings, StackStatus

app = typer.Typer(
    help="""The local stack: collector, Jaeger, Prometheus, Alertmanager and VictoriaLogs.

    Every setting is also a variable: --data-dir is SPANGUARD_STACK_DATA_DIR.""",
    no_args_is_help=True,
)

# A pipe has no width: there a line is a record and must not be wrapped.
_PIPE_WIDTH = 1000


def _setting(name: str, *flags: str) -> Any:
    """An option that stands for a setting of the stack and is described as that is."""
    return typer.Option(*flags, help=StackSettings.model_fields[name].description, show_default=False)


DataDir = Annotated[Path | None, _setting("data_dir", "--data-dir")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def build(*, force: Annotated[bool, typer.Option("--force", help="Build again what is in the cache.")] = False) -> None:
    """Build the servers from their pinned Go modules; what is in the cache is kept."""
    Stack(StackSettings.load(), progress=_say).build(force=force)


@app.command()
def images(
    servers: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SERVER]...", help="Which ones; all when left out.", show_default=False),
    ] = None,
) -> None:
    """Make container images out of the built servers, as the compose files want them."""
    for image in Stack(StackSettings.load(), progress=_say).images(*servers or ()):
        typer.echo(image)


@app.command()
def up(
    *,
    data_dir: DataDir = None,
    port: Annotated[
        list[str] | None, typer.Option("--port", metavar="NAME=PORT", help="Set one port; may be repeated.")
    ] = None,
    free_ports: Annotated[bool | None, _setting("free_ports", "--free-ports")] = None,
    evaluation_interval: Annotated[float | None, _setting("evaluation_interval")] = None,
    metrics_flush_interval: Annotated[float | None, _setting("metrics_flush_interval")] = None,
    rate_window: Annotated[float | None, _setting("rate_window")] = None,
    group_wait: Annotated[float | None, _setting("group_wait")] = None,
    as_json: AsJson = False,
) -> None:
    """Start all servers and wait until each is healthy."""
    settings = StackSettings.load(
        data_dir=data_dir,
        ports=_ports(port or ()),
        free_ports=free_ports,
        evaluation_interval=evaluation_interval,
        metrics_flush_interval=metrics_flush_interval,
        rate_window=rate_window,
        group_wait=group_wait,
    )
    stack = Stack(settings, progress=_say)
    stack.up()
    _show(stack.status(), as_json=as_json)


@app.command()
def down(*, data_dir: DataDir = None) -> None:
    """Stop every server that `up` started."""
    Stack(StackSettings.load(data_dir=data_dir), progress=_say).down()


@app.command()
def status(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show which servers run, where, and whether they are healthy; exit code 1 unless all are."""
    found = Stack(StackSettings.load(data_dir=data_dir)).status()
    _show(found, as_json=as_json)
    if not found.healthy:
        raise typer.Exit(1)


@app.command()
def logs(
    server: Annotated[str | None, typer.Argument(help="One server; all when left out.", show_default=False)] = None,
    *,
    data_dir: DataDir = None,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many of the last lines.")] = 50,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what is added, until Ctrl-C.")] = False,
) -> None:
    """Print what the servers said."""
    found = Stack(StackSettings.load(data_dir=data_dir)).logs(server, lines=lines, follow=follow)
    for name, line in _until_interrupted(found):
        typer.echo(line if server else f"{name:<13}{line}")


def _ports(pairs: list[str] | tuple[()]) -> dict[str, str] | None:
    ports = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise ConfigurationError(f"--port {pair}: NAME=PORT is expected, such as --port prometheus=19090.")
        ports[name] = value
    return ports or None


def _until_interrupted(lines: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    try:
        yield from lines
    except KeyboardInterrupt:
        return


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _show(found: StackStatus, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2, default=str))
        return
    if not found.servers:
        typer.echo(f"The stack is not up (data directory {found.data_dir}). Start it with: spanguard stack up")
        return
    table = Table("SERVER", "STATE", "PID", "PORTS", box=None, pad_edge=False)
    for server in found.servers:
        state = "healthy" if server.healthy else "not healthy" if server.running else "not running"
        colour = "green" if server.healthy else "red"
        ports = "  ".join(f"{name} {port}" for name, port in server.ports.items())
        table.add_row(server.name, f"[{colour}]{state}[/]", str(server.pid), ports)
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)
    console.print(table)
    for name, url in (asdict(found.endpoints) if found.endpoints else {}).items():
        console.print(f"{name:<13}{url}")
