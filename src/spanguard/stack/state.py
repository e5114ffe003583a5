"""The state file: which processes a run started, and on which ports. It is what `down` and `status` go by."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from spanguard.errors import ConfigurationError, ResourceUnavailableError
from spanguard.stack.processes import ProcessRecord, find


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """One started server."""

    name: str
    process: ProcessRecord
    health_url: str
    url: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of the stack: when it began (seconds since the Unix epoch), its ports by name, its servers in start order."""

    started: float
    ports: dict[str, int]
    servers: tuple[ServerRecord, ...] = ()
    version: Literal[1] = 1

    def any_running(self) -> bool:
        """Whether at least one process of this run still lives."""
        return any(find(server.process) for server in self.servers)


_RECORD = TypeAdapter(RunRecord)


def data_dir_failure(data_dir: Path, error: OSError) -> ResourceUnavailableError:
    """What to say when the data directory cannot be used."""
    return ResourceUnavailableError(
        f"the data directory {data_dir} cannot be used: {error.filename or data_dir}: {error.strerror}. Name another: --data-dir, "
        "or the variable SPANGUARD_STACK_DATA_DIR."
    )


class StateFile:
    """The record of the present run under the data directory, replaced in one step so that no reader sees half of it."""

    __slots__ = ("_directory", "path")

    def __init__(self, data_dir: Path) -> None:
        self._directory = data_dir
        self.path = data_dir / "state.json"

    def read(self) -> RunRecord | None:
        """The recorded run, or None when there is none.

        Raises:
            ConfigurationError: the file is not one that this version wrote.
        """
        try:
            return _RECORD.validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise ConfigurationError(
                f"{self.path} is not the state of a stack that this version of spanguard started. "
                "End its servers by hand and delete the file, or name another data directory with --data-dir."
            ) from error

    def write(self, run: RunRecord) -> None:
        """Replace the record."""
        draft = self.path.with_suffix(".draft")
        draft.write_bytes(_RECORD.dump_json(run, indent=2))
        draft.replace(self.path)

    def clear(self) -> None:
        """Forget the run; nothing happens when there is none."""
        self.path.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other `up` and `down` on this data directory out, also those of other processes.

        Raises:
            ResourceUnavailableError: the directory cannot be used, or another command is at work on it.
        """
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = (self._directory / "lock").open("ab")
        except OSError as error:
            raise data_dir_failure(self._directory, error) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ResourceUnavailableError(
                    f"another `spanguard stack` command is starting or stopping the servers of {self._directory}. "
                    "Wait until it is done, or name another data directory with --data-dir."
                ) from error
            yield
