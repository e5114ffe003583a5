"""The settings of the local stack: from arguments, then `SPANGUARD_STACK_*` variables, then defaults."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from spanguard.errors import ConfigurationError

ENV_PREFIX = "SPANGUARD_STACK_"

Port = Annotated[int, Field(ge=1, le=65535)]
Progress = Callable[[str], None]
"""Called with one line for each step that takes time."""

Seconds = Annotated[float, Field(ge=0.001, le=3600, allow_inf_nan=False)]


def _xdg(variable: str, fallback: str) -> Path:
    """A directory of the XDG base directory specification; a relative value there is to be ignored."""
    value = Path(os.environ.get(variable, ""))
    return (value if value.is_absolute() else Path.home() / fallback) / "spanguard"


def _default_data_dir() -> Path:
    return _xdg("XDG_STATE_HOME", ".local/state") / "stack"


def _default_cache_dir() -> Path:
    chosen = os.environ.get("SPANGUARD_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else _xdg("XDG_CACHE_HOME", ".cache")


class StackSettings(BaseSettings):
    """How the native servers are built and run. Every field is also a variable: `SPANGUARD_STACK_<FIELD>`.

    A single port is set by `SPANGUARD_STACK_PORTS__<NAME>`; the names and the defaults stand in `collector/stack.toml`.
    """

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    data_dir: Path = Field(
        default_factory=_default_data_dir,
        description="The one directory that holds the state file, the logs, the configuration and the data of a run.",
    )
    ports: dict[str, Port] = Field(default_factory=dict, description="Ports by name, in place of the default ones.")
    free_ports: bool = Field(
        default=False,
        description="Take a free port in place of each default one; those given in `ports` stay as given.",
    )
    evaluation_interval: Seconds = Field(
        default=15.0, description="How often Prometheus evaluates its rules, in seconds."
    )
    metrics_flush_interval: Seconds = Field(
        default=15.0, description="How often the collector emits the metrics that it makes of spans, in seconds."
    )
    rate_window: Seconds = Field(
        default=300.0,
        description="The window over which alert rules look at rates, in seconds: a few export intervals of the applications.",
    )
    group_wait: Seconds = Field(
        default=10.0,
        description="How long Alertmanager waits for more alerts of a new group before it notifies, in seconds.",
    )
    start_timeout: Seconds = Field(default=60.0, description="How long each server has to become healthy, in seconds.")
    stop_grace: Seconds = Field(default=10.0, description="How long a server has to end after SIGTERM, in seconds.")
    cache_dir: Path = Field(
        default_factory=_default_cache_dir, description="Where built servers are kept. `SPANGUARD_CACHE` sets it too."
    )
    go: Path | None = Field(default=None, description="The go command. By default it is looked for on the PATH.")
    build_jobs: Annotated[int, Field(ge=1, le=256)] = Field(
        default_factory=lambda: os.cpu_count() or 1, description="How many packages are compiled at once."
    )

    @classmethod
    def load(cls, **changes: Any) -> StackSettings:
        """Read the settings; an argument that is None is as good as not given.

        Raises:
            ConfigurationError: one sentence for each wrong setting.
        """
        problems = [_unknown(name) for name in sorted(os.environ) if _is_unknown(name)]
        if not problems:
            try:
                settings = cls(**{name: value for name, value in changes.items() if value is not None})
            except ValidationError as error:
                problems = [_sentence(detail) for detail in error.errors()]
            else:
                paths = {name: getattr(settings, name).expanduser().absolute() for name in ("data_dir", "cache_dir")}
                return settings.model_copy(update=paths)
        raise ConfigurationError(problems)


def _is_unknown(variable: str) -> bool:
    name = variable.upper()
    if not name.startswith(ENV_PREFIX):
        return False
    return name.removeprefix(ENV_PREFIX).partition("__")[0].lower() not in StackSettings.model_fields


def _unknown(variable: str) -> str:
    known = ", ".join(ENV_PREFIX + name.upper() for name in StackSettings.model_fields)
    return f"{variable} is no setting of the stack; there are {known}. Unset it, or correct its name."


def _sentence(detail: Any) -> str:
    path = [str(part) for part in detail["loc"]]
    variable = ENV_PREFIX + "__".join(path).upper()
    said = detail["msg"][0].lower() + detail["msg"][1:]
    if detail["type"] == "extra_forbidden":
        return f"{'.'.join(path)} is no setting of the stack; there are {', '.join(StackSettings.model_fields)}."
    return f"stack setting {'.'.join(path)} = {detail['input']!r}: {said}. Change it, or the variable {variable} that sets it."
