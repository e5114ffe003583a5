"""The profile: the guards of an application in one TOML file, each value open to the environment.

`SPANGUARD_RATE_LIMITERS__TWITTER_API__RATE=2` overrides `rate` in `[rate_limiters.twitter_api]`.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any, Final, get_args, get_origin

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from spanguard.config_manager.sections import (
    AlertSettings,
    BreakerSettings,
    BulkheadSettings,
    DeadLetterSettings,
    GuardSettings,
    LimiterSettings,
    RetrySettings,
    TimeoutSettings,
)
from spanguard.errors import ConfigurationError

DEFAULT_PROFILE: Final = "tge_monitor"
ENVIRONMENT_PREFIX: Final = "SPANGUARD_"

_NAME: Final = re.compile(r"[a-z0-9_]+")


class Profile(BaseSettings):
    """The guards of an application. Built by `load_profile`."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    circuit_breakers: dict[str, BreakerSettings] = Field(default_factory=dict)
    rate_limiters: dict[str, LimiterSettings] = Field(default_factory=dict)
    retries: dict[str, RetrySettings] = Field(default_factory=dict)
    timeouts: dict[str, TimeoutSettings] = Field(default_factory=dict)
    bulkheads: dict[str, BulkheadSettings] = Field(default_factory=dict)
    dead_letters: dict[str, DeadLetterSettings] = Field(default_factory=dict)
    guards: dict[str, GuardSettings] = Field(default_factory=dict)
    alerts: AlertSettings = AlertSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is the base class's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the environment before the file, and nothing else."""
        return env_settings, init_settings


def bundled_profiles() -> list[str]:
    """Return the names of the profiles that come with spanguard."""
    folder = resources.files("spanguard.profiles")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_profile(profile: str | os.PathLike[str] | None = None) -> Profile:
    """Read a profile, with what the environment overrides.

    Args:
        profile: the name of a bundled profile, or the path of a TOML file; `tge_monitor` by default.

    Raises:
        ConfigurationError: the file cannot be read, or a key or value in it is wrong; all problems are in the message.
    """
    source, text = _read(DEFAULT_PROFILE if profile is None else profile)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"profile {source}: this is not TOML: {error}.") from error
    try:
        return Profile(**document)
    except ValidationError as error:
        raise ConfigurationError([_explain(source, problem) for problem in error.errors()]) from None


def _read(profile: str | os.PathLike[str]) -> tuple[str, str]:
    if isinstance(profile, str) and _NAME.fullmatch(profile):
        names = bundled_profiles()
        if profile not in names:
            raise ConfigurationError(
                f"profile {profile!r} is not known; bundled are: {', '.join(names)}. "
                "For a file of your own give its path, such as ./guards.toml."
            )
        return profile, resources.files("spanguard.profiles").joinpath(f"{profile}.toml").read_text("utf-8")
    try:
        return os.fspath(profile), Path(profile).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(
            f"profile {os.fspath(profile)}: the file cannot be read: {reason}. "
            f"Give the path of a TOML file or a bundled name: {', '.join(bundled_profiles())}."
        ) from error


def _explain(source: str, problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        allowed = _allowed_keys(problem["loc"][:-1])
        close = difflib.get_close_matches(str(problem["loc"][-1]), allowed, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        return f"profile {source}: {where} is not a known key.{hint} Allowed here: {', '.join(allowed)}."
    if problem["type"] == "value_error":
        return f"profile {source}: {where}: {problem['ctx']['error']}."
    if problem["type"] == "missing":
        return f"profile {source}: {where} is missing."
    # What is under `dead_letters`, or a breaker's `storage`, may be a URL with a password.
    is_secret = problem["loc"][:1] == ("dead_letters",) or "storage" in problem["loc"][2:3]
    found = "wrong" if is_secret else repr(problem["input"])
    return f"profile {source}: {where} is {found}; {_lower_first(problem['msg'])}."


def _allowed_keys(location: tuple[str | int, ...]) -> list[str]:
    """Return the keys of the section at this place of the document."""
    annotation: Any = Profile
    for part in location:
        if get_origin(annotation) is dict:  # `part` is a guard's name
            annotation = get_args(annotation)[1]
        else:
            annotation = _without_none(annotation.model_fields[str(part)].annotation)
    return sorted(annotation.model_fields)


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) is UnionType:
        return next(argument for argument in get_args(annotation) if argument is not type(None))
    return annotation


def _lower_first(sentence: str) -> str:
    is_acronym = sentence[1:2].isupper()
    return sentence if is_acronym else sentence[:1].lower() + sentence[1:]
