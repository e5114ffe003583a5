"""Which policies a name stands for, and when that is decided."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spanguard.config_manager import Environment
from spanguard.error_handling import circuit_breakers
from spanguard.errors import ConfigurationError
from spanguard.guard import Guard, guard, guards
from spanguard.production_integration import get_system_status, initialize_production, shutdown_production
from spanguard.rate_limiter import rate_limit_manager
from spanguard.testing import Signals, guards_off
from unit.guard.dependency import Dependency, always

Load = Callable[[str], None]

ALL = """
[rate_limiters.x]
rate = 1000
burst = 1000
[bulkheads.x]
limit = 2
queue = 3
max_wait = 1.5
[retries.x]
max_attempts = 4
base_delay = 0
max_delay = 0
[circuit_breakers.x]
fail_max = 7
[timeouts.x]
seconds = 2.5
"""


def test_a_guard_that_was_made_before_the_profile_goes_by_it(load: Load) -> None:
    @guard("x")
    def call(dependency: Dependency) -> str:
        return dependency()

    with pytest.raises(ConfigurationError, match="it has no policy"):
        call(Dependency())
    load(ALL)
    dependency = always(ConnectionError())
    with pytest.raises(ConnectionError):
        call(dependency)
    assert dependency.calls == 4


def test_a_guard_without_a_section_has_all_policies_of_its_name(load: Load) -> None:
    load(ALL)
    stats = Guard("x").stats()
    assert stats.bulkhead is not None
    assert stats.timeout is not None
    assert (stats.bulkhead.limit, stats.timeout.seconds) == (2, 2.5)
    assert None not in (stats.rate_limiter, stats.retry, stats.circuit_breaker)
    assert (stats.deadline, stats.fallback, stats.dead_letter) == (None, None, None)


def test_a_section_composes_policies_of_other_names(load: Load) -> None:
    load(ALL + '[guards.search]\ntimeout = "x"\ncircuit_breaker = "x"\ndeadline = 9\n')
    stats = Guard("search").stats()
    assert stats.timeout is not None
    assert stats.deadline is not None
    assert (stats.timeout.name, stats.deadline.name, stats.deadline.seconds) == ("x", "search.deadline", 9)
    assert (stats.rate_limiter, stats.bulkhead, stats.retry) == (None, None, None)


def test_guards_that_name_the_same_policy_share_it(load: Load) -> None:
    load('[bulkheads.pool]\nlimit = 1\n[guards.a]\nbulkhead = "pool"\n[guards.b]\nbulkhead = "pool"\n')
    assert Guard("a").call(Guard("b").stats).bulkhead.running == 1  # type: ignore[union-attr]


def test_none_leaves_a_policy_of_the_own_name_out(load: Load) -> None:
    load(ALL + '[guards.x]\nretry = "none"\ncircuit_breaker = "none"\n')
    stats = Guard("x").stats()
    assert (stats.retry, stats.circuit_breaker) == (None, None)
    assert stats.timeout is not None


def test_none_in_the_code_leaves_a_policy_out_as_well(load: Load) -> None:
    load(ALL)
    assert Guard("x", retry=None).stats().retry is None


def test_what_the_code_gives_joins_what_the_profile_says(load: Load) -> None:
    load(ALL)
    dependency = always(ValueError())
    guarded = Guard("x", retry_on=OSError, fallback="cached")
    assert guarded.call(dependency) == "cached"
    assert dependency.calls == 1


def test_errors_that_the_code_excludes_are_no_failures_of_the_breaker(load: Load) -> None:
    load(ALL)
    with pytest.raises(KeyError):
        Guard("x", exclude=[KeyError], retry="x").call(always(KeyError()))
    stats = circuit_breakers.get("x").stats()
    assert (stats.failure, stats.ignored) == (0, 1)


def test_policies_that_the_code_has_registered_are_found_without_a_profile() -> None:
    circuit_breakers.configure("x", fail_max=2)
    rate_limit_manager.configure("x", rate=5, burst=6)
    stats = Guard("x").stats()
    assert None not in (stats.circuit_breaker, stats.rate_limiter)


def test_a_limiter_of_the_code_with_other_numbers_than_the_profile_is_refused(load: Load) -> None:
    rate_limit_manager.configure("x", rate=5, burst=6)
    with pytest.raises(
        ConfigurationError, match="limiter 'x' was configured in the code as TokenBucketLimiter\\(rate=5"
    ):
        load(ALL)


def test_an_unknown_policy_names_the_ones_that_come_close(load: Load) -> None:
    load(ALL)
    with pytest.raises(ConfigurationError, match=r"timeout is 'y', but there is no \[timeouts.y\]; there are: x\."):
        Guard("z", timeout="y").call(int)


def test_guards_of_one_name_show_one_name(load: Load) -> None:
    load(ALL)
    made = Guard("x"), Guard("x")
    assert guards.names() == [made[0].name]
    assert list(guards.stats()) == ["x"]


def test_a_guard_that_cannot_be_called_is_not_in_the_statistics() -> None:
    made = Guard("nothing")
    assert guards.names() == [made.name]
    assert guards.stats() == {}


def test_the_profile_declares_queues_by_name(load: Load, tmp_path: Path) -> None:
    load(f'[dead_letters.orders]\nurl = "sqlite:///{tmp_path}/letters.db"\nmax_replays = 2\n')
    assert guards.dead_letters("orders").name == "orders"
    with pytest.raises(ConfigurationError, match="did you mean 'orders'"):
        guards.dead_letters("order")


def test_after_a_reset_a_guard_has_no_policies_any_more(load: Load) -> None:
    load(ALL)
    guarded = Guard("x")
    call = guarded(int)
    call()
    guards.reset()
    circuit_breakers.reset()
    rate_limit_manager.reset()
    with pytest.raises(ConfigurationError):
        call()


def test_a_guard_that_was_forgotten_is_known_again_when_it_is_called() -> None:
    guarded = Guard("x", timeout=5)
    guards.reset(forget_guards=True)
    assert guards.names() == []
    guarded.call(int)
    assert guards.names() == ["x"]


# --- off -----------------------------------------------------------------------------------------------------------


def test_guards_that_are_off_pass_calls_straight_through(load: Load, signals: Signals) -> None:
    load(ALL)
    dependency, call = always(ConnectionError()), Guard("x", fallback="cached").call
    with guards_off(), pytest.raises(ConnectionError):
        call(dependency)
    assert dependency.calls == 1
    assert signals.spans() == []


def test_guards_that_are_off_need_no_profile() -> None:
    guarded = Guard("x")
    add = guarded(lambda left, right: left + right)
    with guards_off(), guarded.calling():
        assert add(1, 2) == 3


def test_a_guard_is_on_again_after_the_last_block_that_switched_it_off() -> None:
    guarded = Guard("x", timeout=1)
    call = guarded(int)
    with guards_off():
        with guards_off():
            pass
        call()
    call()
    stats = guarded.stats()
    assert stats.timeout is not None
    assert stats.timeout.in_time == 1


async def test_coroutines_pass_through_as_well() -> None:
    @guard("x")
    async def ask() -> int:
        return 7

    with guards_off():
        assert await ask() == 7


# --- as part of the system ------------------------------------------------------------------------------------------


def test_the_system_checks_the_guards_that_were_made_before_it(tmp_path: Path) -> None:
    made = Guard("twiter_api", circuit_breaker="twiter_api")
    with pytest.raises(ConfigurationError, match="did you mean 'twitter_api'"):
        initialize_production("shop")
    assert circuit_breakers.all() == {}
    assert made.name == "twiter_api"


def test_the_status_of_the_system_shows_its_guards(signals: Signals, tmp_path: Path) -> None:
    (tmp_path / "guards.toml").write_text(ALL)
    guarded = Guard("x")
    initialize_production("shop", Environment.TESTING, tmp_path / "guards.toml")
    try:
        guarded.call(int)
        status = get_system_status()["guards"]["x"]
        assert (status["timeout"]["in_time"], status["bulkhead"]["admitted"], status["fallback"]) == (1, 1, None)
    finally:
        shutdown_production()
