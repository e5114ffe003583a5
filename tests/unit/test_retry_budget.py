"""The retry budget: retries stay a share of the calls, whatever happens."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from spanguard import semconv
from spanguard.error_handling import Retry, RetryBudget, retry_budget
from spanguard.errors import ConfigurationError
from spanguard.testing import FakeClock, Signals


class Storm:
    """A dependency that is down, and the attempts it sees from calls that come at a steady rate."""

    def __init__(self, clock: FakeClock, retry: Retry) -> None:
        self.clock = clock
        self.retry = retry
        self.attempts = 0

    def _fail(self) -> None:
        self.attempts += 1
        raise ConnectionError

    def amplification(self, *, calls: int, rate: float) -> float:
        for _ in range(calls):
            with pytest.raises(ConnectionError):
                self.retry.call(self._fail)
            self.clock.advance(1 / rate)
        return self.attempts / calls


@pytest.mark.parametrize("rate", [20, 100, 300])
def test_a_storm_is_amplified_by_a_quarter_at_most(clock: FakeClock, rate: float) -> None:
    retry = Retry(name="storm", base_delay=0.0, max_delay=0.0, max_attempts=4, clock=clock)
    amplification = Storm(clock, retry).amplification(calls=int(rate * 30), rate=rate)
    assert 1.1 < amplification <= 1.25


def test_without_a_budget_a_storm_is_multiplied_by_the_attempts(clock: FakeClock) -> None:
    retry = Retry(name="storm", base_delay=0.0, max_delay=0.0, max_attempts=4, budget=None, clock=clock)
    assert Storm(clock, retry).amplification(calls=500, rate=100) == 4


def build(clock: FakeClock, budget: RetryBudget, **changes: Any) -> Retry:
    return Retry(name="api", base_delay=0.0, max_delay=0.0, budget=budget, clock=clock, **changes)


def test_a_few_retries_are_free_whatever_the_number_of_calls(clock: FakeClock) -> None:
    budget = RetryBudget("few", clock=clock)
    assert [budget.try_spend() for _ in range(31)] == [True] * 30 + [False]


def test_what_was_spent_comes_back_when_its_window_is_over(clock: FakeClock) -> None:
    budget = RetryBudget("back", min_per_second=0.1, clock=clock)
    assert [budget.try_spend() for _ in range(2)] == [True, False]
    clock.advance(9.9)
    assert not budget.try_spend()
    clock.advance(0.2)
    assert budget.try_spend()


def test_retries_of_the_same_moment_come_back_with_the_last_of_them(clock: FakeClock) -> None:
    budget = RetryBudget("late", min_per_second=0.2, clock=clock)
    budget.try_spend()
    clock.advance(0.4)
    budget.try_spend()
    clock.advance(9.8)
    assert [budget.try_spend() for _ in range(2)] == [False, False]


def test_calls_pay_in_whether_they_succeed_or_fail(clock: FakeClock) -> None:
    budget = RetryBudget("paid", min_per_second=0, clock=clock)
    retry = build(clock, budget)
    for _ in range(50):
        retry.call(int)
    assert [budget.try_spend() for _ in range(11)] == [True] * 10 + [False]


def test_calls_that_are_over_for_a_window_pay_no_more(clock: FakeClock) -> None:
    budget = RetryBudget("old", min_per_second=0, clock=clock)
    retry = build(clock, budget)
    for _ in range(1000):
        retry.call(int)
    clock.advance(10.5)
    assert not budget.try_spend()


def test_a_budget_is_shared_by_its_name(clock: FakeClock) -> None:
    shared = RetryBudget("shared", min_per_second=0.1, clock=clock)
    first, second = build(clock, shared), build(clock, shared)
    errors = [ConnectionError()]

    def fail_once() -> None:
        if errors:
            raise errors.pop()

    first.call(fail_once)
    errors.append(ConnectionError())
    with pytest.raises(ConnectionError) as caught:
        second.call(fail_once)
    assert "budget" in caught.value.__notes__[0]
    assert Retry(budget="named").budget is Retry(budget="named").budget is retry_budget("named")
    assert Retry(name="own").budget is retry_budget("own")


def test_an_exhausted_budget_is_the_reason_that_is_counted(clock: FakeClock, signals: Signals) -> None:
    retry = build(clock, RetryBudget("none", ratio=0, min_per_second=0, clock=clock))

    def fail() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        retry.call(fail)
    reason = {semconv.RETRY_OUTCOME.key: "failure_without_retry", semconv.RETRY_REASON.key: "budget"}
    assert signals.increase(semconv.RETRY_CALLS_METRIC.name, reason) == 1
    (event,) = signals.events(semconv.RETRY_EXHAUSTED_EVENT.name)
    assert event.attributes[semconv.RETRY_REASON.key] == "budget"


def test_the_utilization_is_shown(clock: FakeClock, signals: Signals) -> None:
    budget = RetryBudget("shown", min_per_second=1, clock=clock)
    for _ in range(5):
        budget.try_spend()
    assert signals.value(semconv.RETRY_BUDGET_METRIC.name, {semconv.POLICY_NAME.key: "shown"}) == 0.5
    clock.advance(10)
    assert budget.utilization() == 0


def test_threads_spend_no_more_than_there_is(clock: FakeClock) -> None:
    budget = RetryBudget("threads", min_per_second=10, clock=clock)
    spent: list[bool] = []
    together = threading.Barrier(8)

    def work() -> None:
        together.wait()
        spent.extend([budget.try_spend() for _ in range(50)])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(spent) == 100


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("ratio", -0.1),
        ("ratio", float("nan")),
        ("window", 0),
        ("window", float("inf")),
        ("min_per_second", -1),
        ("min_per_second", "3"),
    ],
)
def test_a_wrong_setting_is_refused(setting: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        RetryBudget("wrong", **{setting: value})


def test_other_settings_for_a_budget_that_exists_are_refused() -> None:
    retry_budget("settled", ratio=0.1)
    with pytest.raises(ConfigurationError, match="ratio"):
        retry_budget("settled", ratio=0.3)


def test_other_numbers_keep_what_was_spent(clock: FakeClock) -> None:
    budget = RetryBudget("b", ratio=0, window=10, min_per_second=1, clock=clock)
    for _ in range(10):
        assert budget.try_spend()
    budget.reconfigure(ratio=0, window=10, min_per_second=2)
    assert budget.utilization() == 0.5
    budget.reconfigure(ratio=0, window=10, min_per_second=0.5)
    assert not budget.try_spend()
    with pytest.raises(ConfigurationError):
        budget.reconfigure(ratio=-1)
    assert (budget.ratio, budget.min_per_second) == (0, 0.5)
