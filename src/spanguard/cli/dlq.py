"""`spanguard dlq`: look at dead letters, replay them, give them up."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from spanguard.error_handling import DeadLetter, DeadLetterQueue
from spanguard.errors import ConfigurationError

app = typer.Typer(
    help="""Dead letters: the operations that failed for good.

    The database is --url or the variable SPANGUARD_DLQ_URL.""",
    no_args_is_help=True,
)

# A pipe has no width: there a line is a record and must not be wrapped.
_PIPE_WIDTH = 1000

Url = Annotated[
    str,
    typer.Option(
        "--url",
        envvar="SPANGUARD_DLQ_URL",
        show_envvar=False,
        help="sqlite:///file.db or postgresql://user@host/database.",
    ),
]
Queue = Annotated[str, typer.Option("--queue", help="The queue's name.")]
State = Annotated[str, typer.Option("--state", help="waiting, discarded or all.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Ids = Annotated[list[int], typer.Argument(metavar="ID...", help="The letters' ids.", show_default=False)]

_DEFAULT_URL = "sqlite:///dead_letters.db"


@app.command("list")
def list_letters(
    *,
    url: Url = _DEFAULT_URL,
    queue: Queue = "default",
    state: State = "waiting",
    operation: Annotated[str | None, typer.Option("--operation", help="Only letters of this operation.")] = None,
    after: Annotated[int, typer.Option("--after", help="Only letters with a greater id.")] = 0,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="How many at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List letters, the oldest first, without their payloads."""
    opened = _open(url, queue)
    letters = opened.list(state=_state(state), operation=operation, after=after, limit=limit)
    if as_json:
        _print_json([_without_payload(letter) for letter in letters])
        return
    table = Table("ID", "OPERATION", "STATE", "STORED", "ERROR", "ATTEMPTS", "REPLAYS", box=None, pad_edge=False)
    for letter in letters:
        shown = (letter.id, letter.operation, letter.state, _moment(letter.stored_at))
        table.add_row(*map(str, shown), escape(letter.error_type or "-"), str(letter.attempts), str(letter.replays))
    _console().print(table)
    typer.echo(f"{len(letters)} shown; {opened.size()} wait in {queue}.", err=True)


@app.command()
def show(
    letter_id: Annotated[int, typer.Argument(metavar="ID", help="The letter's id.")],
    *,
    url: Url = _DEFAULT_URL,
    queue: Queue = "default",
    as_json: AsJson = False,
) -> None:
    """Show one letter with its payload."""
    letter = _open(url, queue).show(letter_id)
    if as_json:
        _print_json(asdict(letter))
        return
    moments = {"stored_at", "available_at", "leased_until"}
    for name, value in asdict(letter).items():
        if name == "payload":
            text = json.dumps(value, indent=2)
        elif value in (None, ""):
            text = "-"
        else:
            text = _moment(value) if name in moments else str(value)
        typer.echo(f"{name:<18}{text}")


@app.command()
def replay(
    ids: Annotated[
        list[int] | None, typer.Argument(metavar="[ID]...", help="These letters; all that are due when left out.")
    ] = None,
    *,
    application: Annotated[
        str,
        typer.Option(
            "--app",
            metavar="MODULE:QUEUE",
            help="Where the application keeps its DeadLetterQueue, with its handlers registered.",
        ),
    ],
    operation: Annotated[str | None, typer.Option("--operation", help="Only letters of this operation.")] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="How many at most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Run the handlers of the letters that are due, or of those with these ids; exit code 1 unless all succeeded."""
    report = asyncio.run(_load(application).replay_async(ids=ids or None, operation=operation, limit=limit))
    if as_json:
        _print_json(asdict(report))
    else:
        typer.echo(
            ", ".join(f"{number} {outcome}" for outcome, number in asdict(report).items() if number) or "none due"
        )
    if sum(asdict(report).values()) > report.replayed:
        raise typer.Exit(1)


@app.command()
def discard(ids: Ids, *, url: Url = _DEFAULT_URL, queue: Queue = "default") -> None:
    """Give letters up: they stay to be looked at until they are purged."""
    opened = _open(url, queue)
    for letter_id in ids:
        opened.discard(letter_id)
        typer.echo(f"discarded {letter_id}")


@app.command()
def purge(
    *,
    url: Url = _DEFAULT_URL,
    queue: Queue = "default",
    state: State = "discarded",
    older_than: Annotated[
        float | None, typer.Option("--older-than", metavar="SECONDS", min=0, help="Only letters stored before that.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before waiting letters are deleted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete letters for good."""
    wanted = _state(state)
    if wanted != "discarded" and not yes:
        typer.confirm(f"Delete waiting letters of {queue} as well?", abort=True, err=True)
    deleted = _open(url, queue).purge(state=wanted, older_than=older_than)
    if as_json:
        _print_json({"deleted": deleted})
    else:
        typer.echo(f"deleted {deleted}")


def _open(url: str, queue: str) -> DeadLetterQueue:
    # A typing error in the name must not leave an empty database behind.
    prefix = "sqlite:///"
    if url.startswith(prefix) and not Path(url.removeprefix(prefix)).is_file():
        raise ConfigurationError(f"--url {url}: there is no such file; name the database of the application.")
    return DeadLetterQueue(url, queue)


def _load(application: str) -> DeadLetterQueue:
    module, separator, name = application.partition(":")
    if not separator:
        raise ConfigurationError(f"--app {application}: MODULE:QUEUE is expected, such as --app shop.letters:queue.")
    # As `python -m` does: the application is looked for where the command is called.
    sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ModuleNotFoundError, AttributeError) as error:
        raise ConfigurationError(
            f"--app {application}: not found ({error}); it is looked for from this folder."
        ) from error
    if not isinstance(found, DeadLetterQueue):
        raise ConfigurationError(f"--app {application}: that is a {type(found).__name__}, not a DeadLetterQueue.")
    return found


def _state(state: str) -> str | None:
    return None if state == "all" else state


def _without_payload(letter: DeadLetter) -> dict[str, Any]:
    return {name: value for name, value in asdict(letter).items() if name != "payload"}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(" ", "seconds")


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2))


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)
