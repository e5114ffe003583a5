"""Breakers that a profile has shared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.redis_server import RedisServer, awaited
from spanguard.config_manager import load_profile
from spanguard.error_handling import CircuitBreaker, CircuitBreakerError, circuit_breakers
from spanguard.errors import ConfigurationError
from spanguard.guard import Guard, guards

SECRET = "s3cret"


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    guards.reset(forget_guards=True)
    yield
    guards.reset(forget_guards=True)
    circuit_breakers.reset()


@pytest.fixture
def load(tmp_path: Path, name: str) -> Callable[[str], str]:
    """Go by a profile with one breaker, whose storage has this URL; return the breaker's name."""
    policy = name.replace(" ", "_")

    def go_by(url: str, reset_timeout: float = 60.0) -> str:
        file = tmp_path / "guards.toml"
        file.write_text(f'[circuit_breakers.{policy}]\nreset_timeout = {reset_timeout}\nstorage = "{url}"\n', "utf-8")
        guards.reconfigure(load_profile(file))
        return policy

    return go_by


def test_a_profile_shares_a_breaker_by_the_url_of_its_server(
    lasting_server: RedisServer, load: Callable[..., str], build: Callable[..., CircuitBreaker]
) -> None:
    policy = load(lasting_server.url)
    guard = Guard(policy)
    assert guard.call(int) == 0
    circuit_breakers.get(policy).open()
    awaited(lambda: lasting_server.command("EXISTS", f"spanguard:circuit_breaker:{{{policy}}}"))
    load(lasting_server.url, reset_timeout=50.0)
    assert circuit_breakers.get(policy).current_state == "open"
    with pytest.raises(CircuitBreakerError):
        guard.call(int)


def test_a_profile_with_a_wrong_url_is_refused_without_showing_it(load: Callable[..., str]) -> None:
    with pytest.raises(ConfigurationError, match="unknown scheme") as caught:
        load(f"memcached://:{SECRET}@localhost")
    assert SECRET not in str(caught.value)


def test_a_storage_of_the_wrong_type_is_refused_without_showing_it(tmp_path: Path) -> None:
    file = tmp_path / "guards.toml"
    file.write_text(f'[circuit_breakers.api]\nstorage = ["{SECRET}"]\n', "utf-8")
    with pytest.raises(ConfigurationError, match=r"circuit_breakers\.api\.storage is wrong") as caught:
        load_profile(file)
    assert SECRET not in str(caught.value)


def test_a_storage_cannot_change_while_the_system_runs(lasting_server: RedisServer, load: Callable[..., str]) -> None:
    load(lasting_server.url)
    with pytest.raises(ConfigurationError, match=r"storage cannot change while the system runs; restart it"):
        load("redis://127.0.0.1:1/0")
