"""Another profile while calls run: state stays, and it is all or nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spanguard import semconv
from spanguard.config_manager import Profile
from spanguard.error_handling import (
    BulkheadFullError,
    CallTimeoutError,
    CircuitBreakerError,
    check_deadline,
    circuit_breakers,
    remaining,
    retry_budget,
)
from spanguard.errors import ConfigurationError, SpanguardError
from spanguard.guard import Guard, guards
from spanguard.monitoring import alert_manager
from spanguard.production_integration import ProductionSystem, initialize_production, shutdown_production
from spanguard.rate_limiter import RateLimitExceededError, rate_limit_manager
from spanguard.testing import Signals
from unit.guard.dependency import Dependency, always

Load = Callable[[str], None]
RELOAD = semconv.CONFIG_RELOAD_EVENT.name


def breaker(**settings: object) -> str:
    return "[circuit_breakers.x]\n" + "\n".join(f"{key} = {value}" for key, value in settings.items())


def fail(guarded: Guard, times: int) -> None:
    for _ in range(times):
        with pytest.raises((ConnectionError, CircuitBreakerError)):
            guarded.call(always(ConnectionError()))


def test_a_breaker_keeps_what_it_has_counted(load: Load) -> None:
    load(breaker(fail_max=5))
    guarded = Guard("x")
    fail(guarded, 2)
    load(breaker(fail_max=3))
    fail(guarded, 1)
    assert circuit_breakers.get("x").current_state == "open"
    assert circuit_breakers.get("x").stats().failure == 3


def test_an_open_breaker_stays_open(load: Load) -> None:
    load(breaker(fail_max=1, reset_timeout=60))
    guarded = Guard("x")
    fail(guarded, 1)
    load(breaker(fail_max=1, reset_timeout=50))
    with pytest.raises(CircuitBreakerError) as raised:
        guarded.call(int)
    assert raised.value.retry_after == pytest.approx(50, abs=5)


def test_a_limiter_keeps_what_was_used(load: Load) -> None:
    load("[rate_limiters.x]\nrate = 0.001\nburst = 4\n")
    guarded = Guard("x")
    for _ in range(4):
        guarded.call(int)
    load("[rate_limiters.x]\nrate = 0.002\nburst = 6\n")
    guarded.call(int)
    guarded.call(int)
    with pytest.raises(RateLimitExceededError):
        guarded.call(int)
    assert rate_limit_manager.get_limiter("x").stats().acquired == 6


def test_a_bulkhead_keeps_its_permits_in_use(load: Load) -> None:
    load("[bulkheads.x]\nlimit = 1\n")
    guarded = Guard("x")

    def inside() -> None:
        load("[bulkheads.x]\nlimit = 2\n")
        guarded.call(int)
        load("[bulkheads.x]\nlimit = 1\n")
        with pytest.raises(BulkheadFullError):
            guarded.call(int)

    guarded.call(inside)
    stats = guarded.stats().bulkhead
    assert stats is not None
    assert (stats.running, stats.admitted) == (0, 2)


async def test_a_call_keeps_its_place_in_the_queue(load: Load) -> None:
    load("[bulkheads.x]\nlimit = 1\nqueue = 2\n")
    guarded, leave = Guard("x"), asyncio.Event()
    first = asyncio.ensure_future(guarded.call_async(leave.wait))
    second = asyncio.ensure_future(guarded.call_async(Dependency().ask))
    await asyncio.sleep(0)
    stats = guarded.stats().bulkhead
    assert stats is not None
    assert (stats.running, stats.queued) == (1, 1)
    load("[bulkheads.x]\nlimit = 2\nqueue = 2\n")
    assert await second == "answer"
    leave.set()
    await first


def test_a_retry_budget_keeps_what_was_spent(load: Load) -> None:
    retry = (
        "[retries.x]\nmax_attempts = 11\nbase_delay = 0\nmax_delay = 0\nbudget = { name = 'b', min_per_second = %s }\n"
    )
    load(retry % 1)
    guarded = Guard("x")
    first = always(ConnectionError())
    with pytest.raises(ConnectionError):
        guarded.call(first)
    assert first.calls == 11
    load(retry % 0.5)
    assert retry_budget("b").utilization() == 1
    second = always(ConnectionError())
    with pytest.raises(ConnectionError):
        guarded.call(second)
    assert second.calls == 1


def test_the_number_of_attempts_changes_for_the_next_call(load: Load) -> None:
    retry = "[retries.x]\nmax_attempts = %d\nbase_delay = 0\nmax_delay = 0\n"
    load(retry % 2)
    guarded, dependency = Guard("x"), always(ConnectionError())
    load(retry % 4)
    with pytest.raises(ConnectionError):
        guarded.call(dependency)
    assert dependency.calls == 4


def test_a_timeout_changes_for_the_next_call_and_keeps_its_counts(load: Load) -> None:
    load("[timeouts.x]\nseconds = 100\n")
    guarded = Guard("x")

    def inside() -> float:
        load("[timeouts.x]\nseconds = 10\n")
        return remaining() or 0

    assert guarded.call(inside) > 50
    assert (guarded.call(remaining) or 0) <= 10
    stats = guarded.stats().timeout
    assert stats is not None
    assert (stats.seconds, stats.in_time) == (10, 2)


def test_the_deadline_of_the_whole_call_keeps_its_counts(load: Load) -> None:
    load("[guards.x]\ndeadline = 100\n")
    guarded = Guard("x")
    guarded.call(int)
    load("[guards.x]\ndeadline = 10\n")
    guarded.call(int)
    stats = guarded.stats().deadline
    assert stats is not None
    assert (stats.seconds, stats.in_time) == (10, 2)


def test_a_call_ends_under_the_policies_that_it_began_with(load: Load) -> None:
    load("[retries.x]\nmax_attempts = 3\nbase_delay = 0\nmax_delay = 0\n")
    guarded, calls = Guard("x"), []

    def inside() -> None:
        calls.append(1)
        load("[timeouts.x]\nseconds = 5\n")
        raise ConnectionError

    with pytest.raises(ConnectionError):
        guarded.call(inside)
    assert len(calls) == 3
    stats = guarded.stats()
    assert stats.retry is None
    assert stats.timeout is not None


def test_a_policy_that_is_gone_is_known_no_more(load: Load) -> None:
    load(breaker(fail_max=1) + "\n[rate_limiters.x]\nrate = 1\nburst = 1\n[timeouts.y]\nseconds = 1\n")
    load("[timeouts.y]\nseconds = 1\n")
    assert (circuit_breakers.all(), rate_limit_manager.all()) == ({}, {})


def test_nothing_changes_if_anything_is_wrong(load: Load) -> None:
    load(breaker(fail_max=5) + "\n[timeouts.x]\nseconds = 5\n[bulkheads.x]\nlimit = 3\n")
    guarded = Guard("x")
    before = guarded.stats()
    with pytest.raises(ConfigurationError) as raised:
        load(breaker(fail_max=2) + "\n[timeouts.x]\nseconds = 0\n[bulkheads.x]\nlimit = 0\n[guards.y]\nretry = 'z'\n")
    assert len(raised.value.problems) == 2
    assert guarded.stats() == before
    assert circuit_breakers.get("x").fail_max == 5


def test_nothing_changes_if_a_guard_would_be_nonsense(load: Load) -> None:
    load("[timeouts.x]\nseconds = 5\n[guards.x]\ndeadline = 6\n")
    guarded = Guard("x")
    with pytest.raises(ConfigurationError, match="timeout would never act"):
        load("[timeouts.x]\nseconds = 7\n[guards.x]\ndeadline = 6\n")
    stats = guarded.stats()
    assert stats.timeout is not None
    assert stats.timeout.seconds == 5


def test_a_queue_of_dead_letters_cannot_move_while_it_runs(load: Load, tmp_path: Path) -> None:
    load(f'[dead_letters.orders]\nurl = "sqlite:///{tmp_path}/a.db"\n')
    queue = guards.dead_letters("orders")
    with pytest.raises(ConfigurationError, match=r"dead_letters\.orders cannot change while the system runs"):
        load(f'[dead_letters.orders]\nurl = "sqlite:///{tmp_path}/b.db"\n')
    assert guards.dead_letters("orders") is queue


def test_a_guard_of_a_block_cannot_get_a_retry(load: Load) -> None:
    load("[timeouts.x]\nseconds = 5\n")
    guarded = Guard("x")
    with guarded.calling():
        pass
    with pytest.raises(ConfigurationError, match="it has a retry, but it is used with calling"):
        load("[timeouts.x]\nseconds = 5\n[retries.x]\n")


def test_the_event_names_the_changed_sections_and_no_values(load: Load, signals: Signals) -> None:
    load(breaker(fail_max=5) + "\n[timeouts.x]\nseconds = 5\n[timeouts.y]\nseconds = 1\n")
    load(
        breaker(fail_max=5)
        + "\n[timeouts.x]\nseconds = 77\n[bulkheads.z]\nlimit = 66\n[alerts]\nresend_interval = 55\n"
    )
    (event,) = signals.events(RELOAD)
    assert event.attributes == {"spanguard.config.sections": "alerts,bulkheads.z,timeouts.x,timeouts.y"}
    assert not {"77", "66", "55"} & set(event.body.split())


def test_a_profile_that_is_the_same_is_no_event(load: Load, signals: Signals) -> None:
    load("[timeouts.x]\nseconds = 5\n")
    load("[timeouts.x]\nseconds = 5\n")
    assert signals.events(RELOAD) == []


def test_calls_of_many_threads_go_on_while_the_profile_changes(profile: Callable[[str], Profile]) -> None:
    text = (
        "[bulkheads.x]\nlimit = {0}\nqueue = 100\n[timeouts.x]\nseconds = {0}\n"
        "[rate_limiters.x]\nrate = {0}000000\nburst = {0}000000\n[retries.x]\nmax_attempts = {0}\n"
        "[circuit_breakers.x]\nfail_max = {0}\n"
    )
    one, other = profile(text.format(3)), profile(text.format(5))
    guards.reconfigure(one)
    call, done, stop = Guard("x")(int), [], threading.Event()

    def work() -> None:
        count = 0
        while not stop.is_set():
            call()
            count += 1
        done.append(count)

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for number in range(200):
        guards.reconfigure(one if number % 2 else other)
    stop.set()
    for worker in workers:
        worker.join()
    stats = guards.stats().get("x") or Guard("x").stats()
    assert stats.bulkhead is not None
    assert stats.rate_limiter is not None
    assert stats.circuit_breaker is not None
    assert stats.timeout is not None
    assert (stats.bulkhead.running, stats.bulkhead.queued) == (0, 0)
    total = sum(done)
    assert total > 0
    assert stats.bulkhead.admitted == stats.rate_limiter.acquired == stats.circuit_breaker.success == total
    assert stats.timeout.in_time == total


# --- of the whole system --------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "production.toml"


@pytest.fixture
def system(file: Path, signals: Signals) -> Iterator[ProductionSystem]:
    file.write_text(breaker(fail_max=1) + "\n[timeouts.x]\nseconds = 5\n", "utf-8")
    yield initialize_production("shop", "testing", file)
    shutdown_production()


def test_the_system_takes_over_a_changed_file(system: ProductionSystem, file: Path, signals: Signals) -> None:
    guarded = Guard("x")
    file.write_text(breaker(fail_max=1) + "\n[timeouts.x]\nseconds = 6\n", "utf-8")
    assert system.reload(file) == ["timeouts.x"]
    stats = guarded.stats().timeout
    assert stats is not None
    assert stats.seconds == system.profile.timeouts["x"].seconds == 6
    assert len(signals.events(RELOAD)) == 1


def test_the_system_keeps_its_profile_if_the_file_is_wrong(system: ProductionSystem, file: Path) -> None:
    file.write_text("[timeouts.x]\nseconds = 0\n[alerts]\nresend_interval = 0\n", "utf-8")
    with pytest.raises(ConfigurationError) as raised:
        system.reload(file)
    assert len(raised.value.problems) == 2
    assert system.profile.timeouts["x"].seconds == 5


def test_an_alert_that_stands_gets_its_new_severity(system: ProductionSystem, file: Path) -> None:
    fail(Guard("x"), 1)
    file.write_text(breaker(fail_max=1, alert="'warning'"), "utf-8")
    system.reload(file)
    assert [alert.severity for alert in alert_manager.active()] == ["warning"]


def test_an_alert_that_is_wanted_no_more_is_resolved(system: ProductionSystem, file: Path) -> None:
    fail(Guard("x"), 1)
    assert len(alert_manager.active()) == 1
    file.write_text(breaker(fail_max=1, alert="'none'"), "utf-8")
    system.reload(file)
    assert alert_manager.active() == ()


def test_a_system_that_was_shut_down_cannot_reload(system: ProductionSystem, file: Path) -> None:
    shutdown_production()
    with pytest.raises(SpanguardError, match="was shut down"):
        system.reload(file)


def test_a_call_that_is_under_way_keeps_the_time_that_it_was_given(load: Load) -> None:
    load("[timeouts.x]\nseconds = 0.001\n")
    guarded = Guard("x")

    def inside() -> None:
        load("[timeouts.x]\nseconds = 100\n")
        while True:
            check_deadline("the rest")

    with pytest.raises(CallTimeoutError):
        guarded.call(inside)
    assert guarded.call(Dependency()) == "answer"


def test_a_breaker_cannot_move_to_another_storage_while_it_runs(load: Load) -> None:
    load(breaker(fail_max=1))
    with pytest.raises(ConfigurationError, match=r"circuit_breakers\.x\.storage cannot change while the system runs"):
        load(breaker(fail_max=1, storage="'redis://user:hunter2@127.0.0.1:1/0'"))
