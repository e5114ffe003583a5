"""The assembly: profile in, running system out, nothing half-done when something is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from spanguard import SpanguardError, semconv
from spanguard.config_manager import Environment
from spanguard.error_handling import CircuitBreakerError, circuit_breakers, with_circuit_breaker
from spanguard.guard import guards
from spanguard.monitoring import alert_manager
from spanguard.production_integration import (
    ProductionSystem,
    get_system_status,
    initialize_production,
    shutdown_production,
)
from spanguard.rate_limiter import TokenBucketLimiter, rate_limit_manager
from spanguard.testing import Signals

ALERT = semconv.ALERT_EVENT.name


@pytest.fixture(autouse=True)
def _fresh(signals: Signals) -> Iterator[None]:
    """Capture sets the providers, so `setup` joins them and exports nothing; afterwards nothing is left."""
    guards.reset(forget_guards=True)  # those of modules that other tests import
    yield
    shutdown_production()


@pytest.fixture
def write(tmp_path: Path) -> Path:
    return tmp_path / "guards.toml"


@pytest.fixture
def system(write: Path) -> ProductionSystem:
    """A system with a breaker that opens at the first failure and closes at the first probe."""
    write.write_text(
        """
        [circuit_breakers.api]
        fail_max = 1
        reset_timeout = 0
        [circuit_breakers.quiet]
        fail_max = 1
        alert = "none"
        [rate_limiters.api]
        rate = 1
        burst = 2
        """,
        "utf-8",
    )
    return initialize_production("shop", Environment.TESTING, write)


def fail(breaker: str) -> None:
    def call() -> None:
        raise ConnectionError

    with pytest.raises(CircuitBreakerError):
        circuit_breakers.get(breaker).call(call)


def test_the_default_profile_builds_its_guards() -> None:
    initialize_production("TGE_Monitor")
    assert set(circuit_breakers.all()) == {"twitter_api", "news_feeds", "email_service", "database"}
    assert set(rate_limit_manager.all()) == {"twitter_api", "news_scraping", "api_endpoints", "email_sending"}
    scraping = rate_limit_manager.get_limiter("news_scraping")
    assert isinstance(scraping, TokenBucketLimiter)
    assert scraping.burst == 20


def test_a_decorated_function_finds_the_breaker_of_the_profile(system: ProductionSystem) -> None:
    @with_circuit_breaker("api")
    def call() -> int:
        return 7

    assert call() == 7
    assert circuit_breakers.get("api").stats().success == 1


def test_an_opening_breaker_raises_the_alert_in_the_trace_of_the_call(
    system: ProductionSystem, signals: Signals
) -> None:
    fail("api")
    (alert,) = alert_manager.active()
    assert (alert.name, alert.severity, alert.labels) == (
        "DependencyUnavailable",
        "critical",
        {"spanguard_policy_name": "api"},
    )
    assert alert.runbook_url.endswith("/docs/runbooks/DependencyUnavailable.md")
    (span,) = signals.spans("guard api")
    assert [event.trace_id for event in signals.events(ALERT)] == [span.trace_id]


def test_a_closing_breaker_resolves_the_alert(system: ProductionSystem, signals: Signals) -> None:
    fail("api")
    circuit_breakers.get("api").call(int)
    assert alert_manager.active() == ()
    assert [event.attributes["spanguard.alert.state"] for event in signals.events(ALERT)] == ["firing", "resolved"]


def test_a_breaker_with_alert_none_raises_none(system: ProductionSystem) -> None:
    fail("quiet")
    assert alert_manager.active() == ()


def test_the_status_tells_all_and_is_plain_json(system: ProductionSystem) -> None:
    fail("api")
    rate_limit_manager.get_limiter("api").acquire()
    status = json.loads(json.dumps(get_system_status()))
    assert (status["app_name"], status["environment"]) == ("shop", "testing")
    assert status["circuit_breakers"]["api"]["state"] == "open"
    assert status["circuit_breakers"]["api"]["last_error_type"] == "ConnectionError"
    assert status["rate_limiters"]["api"]["acquired"] == 1
    assert status["alerts"][0]["labels"] == {"spanguard_policy_name": "api"}
    assert status["telemetry"] == {"built": [], "joined": ["traces", "metrics", "logs"]}


def test_without_a_system_the_status_says_what_to_do() -> None:
    with pytest.raises(SpanguardError, match="call initialize_production first"):
        get_system_status()


def test_a_second_initialisation_is_refused(system: ProductionSystem) -> None:
    with pytest.raises(SpanguardError, match="was called before, for 'shop'; call shutdown_production first"):
        initialize_production("other")


def test_after_shutdown_the_names_are_free_again(system: ProductionSystem) -> None:
    assert shutdown_production()
    assert (circuit_breakers.all(), rate_limit_manager.all()) == ({}, {})
    initialize_production("other")


def test_every_contradiction_is_in_the_one_message_and_nothing_is_set_up(write: Path) -> None:
    write.write_text(
        """
        [circuit_breakers.good]
        [circuit_breakers.api]
        fail_max = 0
        success_threshold = -1
        [circuit_breakers.late.failure_rate]
        threshold = 0.5
        minimum_calls = 50
        [circuit_breakers.late.window]
        size = 20
        [rate_limiters.api]
        rate = -1
        burst = 0
        [alerts]
        resend_interval = 0
        """,
        "utf-8",
    )
    with pytest.raises(SpanguardError) as raised:
        initialize_production("shop", profile=write)
    message = str(raised.value)
    assert message.startswith("6 problems in the configuration:")
    for named in (
        "'api'",
        "fail_max is 0",
        "success_threshold is -1",
        "minimum_calls is 50",
        "rate is -1",
        "burst is 0",
    ):
        assert named in message
    assert "alerts.resend_interval is 0" in message
    assert (circuit_breakers.all(), rate_limit_manager.all()) == ({}, {})


def test_an_unknown_environment_lists_the_known_ones() -> None:
    with pytest.raises(SpanguardError, match="use one of: development, testing, staging, production"):
        initialize_production("shop", "prod")
