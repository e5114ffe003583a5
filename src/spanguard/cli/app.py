"""The command tree: one module a command group, each command calls one function of a room."""

from __future__ import annotations

from typing import Annotated

import typer

from spanguard import __version__
from spanguard.cli import dlq, stack

app = typer.Typer(
    help="spanguard: every guard's decision is an OpenTelemetry signal.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(stack.app, name="stack")
app.add_typer(dlq.app, name="dlq")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"spanguard {__version__}")
        raise typer.Exit


@app.callback()
def spanguard(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Every guard's decision is an OpenTelemetry signal."""
