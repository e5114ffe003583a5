"""The settings, from `TGE_*` variables; all that is wrong is told in one message."""

from __future__ import annotations

import difflib
import os
import re
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, Field, HttpUrl, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from spanguard.config_manager import Environment
from spanguard.errors import ConfigurationError
from tge_monitor.twitter import SOURCE as TWITTER

PREFIX: Final = "TGE_"

_FEED_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ADDRESS: Final = re.compile(r"[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_SECRETS: Final = frozenset({"database_url", "smtp_password", "twitter_bearer_token"})
# pydantic-core measures intervals in float seconds; below this a loop would never rest.
_SHORTEST_INTERVAL: Final = 0.05


def _by_comma(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _feeds(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    pairs = [pair.partition("=") for pair in value.split()]
    if any(not separator for _, separator, _ in pairs):
        raise ValueError("each feed is written name=URL, with spaces between feeds")
    names = [name for name, _, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("each feed needs a name of its own")
    return {name: url for name, _, url in pairs}


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_by_comma)]
Interval = Annotated[float, Field(ge=_SHORTEST_INTERVAL, le=86_400)]
Timeout = Annotated[float, Field(ge=0.05, le=600)]
Port = Annotated[int, Field(ge=1, le=65_535)]


class Settings(BaseSettings):
    """What the monitor watches, where it keeps it, whom it tells. Intervals and timeouts are in seconds.

    Every field is the variable `TGE_<FIELD>`; lists are separated by commas, feeds are `name=URL` separated by spaces.
    Without a bearer token the Twitter source is off; without recipients no mail is sent.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True)

    environment: Environment = Environment.PRODUCTION
    profile: str = "tge_monitor"

    twitter_url: HttpUrl = HttpUrl("https://api.x.com")
    twitter_bearer_token: SecretStr | None = None
    twitter_interval: Interval = 60.0
    twitter_max_pages: int = Field(default=3, ge=1, le=100)

    feeds: Annotated[dict[str, HttpUrl], NoDecode, BeforeValidator(_feeds)] = Field(default_factory=dict)
    feeds_interval: Interval = 300.0

    keywords: Words = ("TGE", "token generation event", "token launch", "token sale", "airdrop")
    companies: Words = ()
    minimum_score: int = Field(default=1, ge=1)

    max_body_bytes: int = Field(default=1_048_576, ge=1024, le=67_108_864)

    database_url: SecretStr = SecretStr("sqlite:///tge_monitor.db")

    smtp_host: str = "127.0.0.1"
    smtp_port: Port = 25
    smtp_timeout: Timeout = 10.0
    smtp_username: str = ""
    smtp_password: SecretStr = SecretStr("")
    sender: str = "tge-monitor@localhost"
    recipients: Words = ()
    digest_interval: Interval = 3600.0

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65_535)
    stop_timeout: Timeout = 10.0

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is the base class's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take arguments before the environment, and nothing else."""
        return init_settings, env_settings

    @property
    def database(self) -> URL:
        """The database, with the driver that is installed for it."""
        url = make_url(self.database_url.get_secret_value())
        return url.set(drivername="postgresql+psycopg") if url.get_backend_name().startswith("postgres") else url

    @field_validator("feeds")
    @classmethod
    def _check_feed_names(cls, feeds: dict[str, HttpUrl]) -> dict[str, HttpUrl]:
        wrong = [name for name in feeds if not _FEED_NAME.fullmatch(name) or name == TWITTER]
        if wrong:
            raise ValueError(
                f"the feed name {wrong[0]!r} cannot be used; lower case letters, digits and _ can, but not {TWITTER}"
            )
        return feeds

    @field_validator("keywords")
    @classmethod
    def _check_keywords(cls, keywords: tuple[str, ...]) -> tuple[str, ...]:
        if not keywords:
            raise ValueError("at least one keyword is needed")
        return keywords

    @field_validator("sender")
    @classmethod
    def _check_sender(cls, sender: str) -> str:
        return _checked_address(sender)

    @field_validator("recipients")
    @classmethod
    def _check_recipients(cls, recipients: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_checked_address, recipients))

    @field_validator("twitter_bearer_token")
    @classmethod
    def _check_token(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not _TOKEN.fullmatch(token.get_secret_value()):
            raise ValueError(
                "a bearer token is visible ASCII characters without spaces; leave the variable out for none"
            )
        return token

    @field_validator("database_url")
    @classmethod
    def _check_database(cls, secret: SecretStr) -> SecretStr:
        try:
            url = make_url(secret.get_secret_value())
        except (ArgumentError, ValueError):
            raise ValueError("give sqlite:///file.db or postgresql://user:password@host/database") from None
        if url.get_backend_name() not in {"sqlite", "postgresql", "postgres"}:
            raise ValueError(f"{url.get_backend_name()!r} is not supported; use sqlite:///file.db or postgresql://...")
        if url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}:
            raise ValueError("a SQLite database needs a file, such as sqlite:///tge_monitor.db")
        return secret

    @model_validator(mode="after")
    def _check_sources(self) -> Self:
        if not self.feeds and self.twitter_bearer_token is None:
            raise ValueError("there is nothing to watch: set TGE_FEEDS or TGE_TWITTER_BEARER_TOKEN, or both")
        return self


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        ConfigurationError: something is wrong; the message names every setting and what is allowed.
    """
    problems = [_unknown(name) for name in sorted(os.environ) if _is_unknown(name)]
    try:
        settings = Settings()
    except ValidationError as error:
        raise ConfigurationError(
            problems + [_explain(problem) for problem in error.errors(include_url=False)]
        ) from None
    if problems:
        raise ConfigurationError(problems)
    return settings


def _variables() -> list[str]:
    return [PREFIX + name.upper() for name in Settings.model_fields]


def _is_unknown(name: str) -> bool:
    return name.upper().startswith(PREFIX) and name.upper() not in _variables()


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name.upper(), _variables(), n=1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(_variables())}."
    return f"{name} is no setting of tge_monitor: {hint}"


def _explain(problem: Any) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:
        return f"{message}."
    field = str(problem["loc"][0])
    variable = PREFIX + field.upper()
    # An address may hold a token, in its path or its query.
    hidden = field in _SECRETS or "url" in field or field == "feeds"
    given = "" if hidden else f" is {os.environ.get(variable, '')!r}"
    start = message[:1] if message[1:2].isupper() else message[:1].lower()
    return f"{variable}{given}: {start}{message[1:]}."


def _checked_address(address: str) -> str:
    if not _ADDRESS.fullmatch(address):
        raise ValueError(f"{address!r} is no mail address; write it as name@host")
    return address
