"""The settings from the environment."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from spanguard.errors import ConfigurationError
from tge_monitor.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with one feed and nothing else of ours."""
    for name in list(os.environ):
        if name.startswith("TGE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TGE_FEEDS", "rss=https://a.example/rss")
    return monkeypatch


def message() -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    return str(caught.value)


def test_one_feed_is_enough() -> None:
    settings = load_settings()
    assert {name: str(url) for name, url in settings.feeds.items()} == {"rss": "https://a.example/rss"}
    assert settings.twitter_bearer_token is None
    assert settings.host == "127.0.0.1"


def test_lists_are_separated_by_commas_and_feeds_by_spaces(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TGE_FEEDS", "a=https://a.example/?x=1,2  b=https://b.example/")
    environment.setenv("TGE_KEYWORDS", "TGE, token sale,")
    environment.setenv("TGE_RECIPIENTS", "a@b.example,c@d.example")
    settings = load_settings()
    assert list(settings.feeds) == ["a", "b"]
    assert settings.keywords == ("TGE", "token sale")
    assert settings.recipients == ("a@b.example", "c@d.example")


def test_everything_wrong_is_told_in_one_message(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TGE_PORT", "70000")
    environment.setenv("TGE_TWITTER_INTERVAL", "0")
    environment.setenv("TGE_SENDER", "nobody")
    environment.setenv("TGE_KEYWRDS", "x")
    told = message()
    assert "TGE_KEYWRDS is no setting of tge_monitor: did you mean TGE_KEYWORDS?" in told
    assert "TGE_PORT is '70000': input should be less than or equal to 65535." in told
    assert "TGE_TWITTER_INTERVAL is '0'" in told
    assert "'nobody' is no mail address; write it as name@host" in told


def test_nothing_to_watch_is_told(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("TGE_FEEDS")
    assert message() == "there is nothing to watch: set TGE_FEEDS or TGE_TWITTER_BEARER_TOKEN, or both."


@pytest.mark.parametrize(
    ("feeds", "told"),
    [
        ("https://a.example/rss", "each feed is written name=URL"),
        ("a=https://a.example/ a=https://b.example/", "each feed needs a name of its own"),
        ("twitter_api=https://a.example/", "the feed name 'twitter_api' cannot be used"),
        ("A-B=https://a.example/", "the feed name 'A-B' cannot be used"),
        ("a=ftp://a.example/", "scheme should be 'http' or 'https'"),
    ],
)
def test_a_wrong_feed_is_told(environment: pytest.MonkeyPatch, feeds: str, told: str) -> None:
    environment.setenv("TGE_FEEDS", feeds)
    assert told in message()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://u:hunter2@h/d", "'mysql' is not supported"),
        ("hunter2", "give sqlite:///file.db or postgresql://"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
    ],
)
def test_a_wrong_database_is_told_without_its_password(environment: pytest.MonkeyPatch, url: str, told: str) -> None:
    environment.setenv("TGE_DATABASE_URL", url)
    assert told in message()
    assert "hunter2" not in message()


def test_no_secret_is_told_or_shown(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TGE_TWITTER_BEARER_TOKEN", "hunter2 with spaces")
    environment.setenv("TGE_TWITTER_URL", "ftp://host/hunter2")
    assert "TGE_TWITTER_BEARER_TOKEN: a bearer token is visible ASCII" in message()
    assert "hunter2" not in message()
    environment.setenv("TGE_TWITTER_BEARER_TOKEN", "hunter2")
    environment.delenv("TGE_TWITTER_URL")
    environment.setenv("TGE_SMTP_PASSWORD", "hunter2")
    environment.setenv("TGE_DATABASE_URL", "postgresql://u:hunter2@h/d")
    assert "hunter2" not in repr(load_settings())


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgresql_is_reached_by_the_driver_that_is_installed(environment: pytest.MonkeyPatch, scheme: str) -> None:
    environment.setenv("TGE_DATABASE_URL", f"{scheme}://u:p@h/d")
    assert load_settings().database.drivername == "postgresql+psycopg"


@pytest.mark.parametrize("address", ["a@b.example\nBcc: x@y.example", "a b@c.example", "a@b@c", "<a@b.example>"])
def test_an_address_with_more_than_an_address_in_it_is_refused(environment: pytest.MonkeyPatch, address: str) -> None:
    environment.setenv("TGE_SENDER", address)
    assert "is no mail address" in message()


def test_the_page_lists_every_setting_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs" / "tge-monitor.md").read_text("utf-8")
    listed = set(re.findall(r"`(TGE_[A-Z_]+)`", page))
    assert listed == {f"TGE_{name.upper()}" for name in Settings.model_fields}
