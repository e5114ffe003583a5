"""The profile: one TOML file, open to the environment, every problem in one message."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanguard import SpanguardError
from spanguard.config_manager import bundled_profiles, load_profile


@pytest.fixture
def write(tmp_path: Path) -> Path:
    return tmp_path / "guards.toml"


def problems(path: Path | str) -> str:
    with pytest.raises(SpanguardError) as raised:
        load_profile(path)
    assert isinstance(raised.value, ValueError)
    return str(raised.value)


def test_the_default_profile_has_the_services_of_the_original_design() -> None:
    profile = load_profile()
    breakers = {
        name: (b.fail_max, b.success_threshold, b.reset_timeout) for name, b in profile.circuit_breakers.items()
    }
    assert breakers == {
        "twitter_api": (5, 2, 120),
        "news_feeds": (10, 3, 60),
        "email_service": (3, 2, 300),
        "database": (5, 2, 60),
    }
    assert {name: (limiter.rate, limiter.burst) for name, limiter in profile.rate_limiters.items()} == {
        "twitter_api": (0.5, 5),
        "news_scraping": (10, 20),
        "api_endpoints": (100, 200),
        "email_sending": (1, 5),
    }


def test_the_default_profile_is_bundled() -> None:
    assert "tge_monitor" in bundled_profiles()


def test_a_value_can_be_overridden_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANGUARD_CIRCUIT_BREAKERS__TWITTER_API__RESET_TIMEOUT", "7")
    breaker = load_profile().circuit_breakers["twitter_api"]
    assert (breaker.reset_timeout, breaker.fail_max) == (7, 5)


def test_every_wrong_key_and_value_is_in_the_one_message(write: Path) -> None:
    write.write_text(
        """
        nope = 1
        [circuit_breakers.x]
        fail_maxx = 3
        reset_timeout = "soon"
        [circuit_breakers.y.window]
        size = 10
        seconds = 3
        [rate_limiters.z]
        rate = 1
        """,
        "utf-8",
    )
    message = problems(write)
    assert message.startswith("5 problems in the configuration:")
    assert "circuit_breakers.x.reset_timeout is 'soon'; input should be a valid number" in message
    assert "circuit_breakers.x.fail_maxx is not a known key. Did you mean 'fail_max'? Allowed here: alert," in message
    assert "rate_limiters.z: burst is missing; token_bucket takes rate and burst." in message
    assert "circuit_breakers.y.window: give either size (calls) or seconds, not both" in message
    assert (
        "nope is not a known key. Allowed here: alerts, bulkheads, circuit_breakers, dead_letters, guards, rate_limiters, "
        "retries, timeouts." in message
    )


def test_an_unknown_name_lists_the_bundled_ones() -> None:
    assert "bundled are: tge_monitor" in problems("unknown")


def test_a_missing_file_says_so() -> None:
    assert problems("./nowhere.toml").startswith(
        "profile ./nowhere.toml: the file cannot be read: No such file or directory."
    )


def test_a_file_that_is_not_toml_says_where(write: Path) -> None:
    write.write_text("[circuit_breakers\n", "utf-8")
    assert "this is not TOML" in problems(write)
    assert "line 1" in problems(write)


def test_a_file_that_is_not_utf8_says_so(write: Path) -> None:
    write.write_bytes(b'x = "\xff"')
    assert "it is not UTF-8" in problems(write)
