"""The last good answer: which one stands in, for how long, and how many are kept."""

from __future__ import annotations

import os
import threading

import pytest

from spanguard.error_handling import FallbackValue, GracefulDegradation, LastGood
from spanguard.testing import FakeClock
from unit.degradation.dependencies import Dependency


def test_the_last_good_answer_stands_in_and_shows_its_age(dependency: Dependency, clock: FakeClock) -> None:
    policy = GracefulDegradation(LastGood(max_age=60), name="api", clock=clock)
    policy.call(dependency.ask, "old")
    clock.advance(45)
    dependency.error = ConnectionError()
    degraded = policy.answer(dependency.ask, "old").degraded
    assert degraded is not None
    assert (degraded.source, degraded.age) == ("stale", 45)


def test_an_answer_that_is_too_old_does_not_stand_in(dependency: Dependency, clock: FakeClock) -> None:
    policy = GracefulDegradation(LastGood(max_age=60), name="api", clock=clock)
    policy.call(dependency.ask, "old")
    clock.advance(60.1)
    dependency.error = ConnectionError("away")
    with pytest.raises(ConnectionError, match="away"):
        policy.call(dependency.ask, "old")


def test_a_degraded_answer_is_not_kept_as_a_good_one(dependency: Dependency, clock: FakeClock) -> None:
    policy = GracefulDegradation(LastGood(), FallbackValue("default"), name="api", clock=clock)
    dependency.error = ConnectionError()
    answers = [policy.answer(dependency.ask, 1) for _ in range(2)]
    assert [answer.degraded.source for answer in answers if answer.degraded] == ["value", "value"]


def test_an_answer_to_other_arguments_does_not_stand_in(dependency: Dependency) -> None:
    policy = GracefulDegradation(LastGood(), "none", name="api")
    for question in (1, "x"):
        policy.call(dependency.ask, question)
    dependency.error = ConnectionError()
    assert [policy.call(dependency.ask, question) for question in (1, "x", 2, True, 1.0)] == [1, "x"] + ["none"] * 3


def test_an_answer_of_another_function_does_not_stand_in(dependency: Dependency, broken: Dependency) -> None:
    policy = GracefulDegradation(LastGood(), "none", name="api")
    policy.call(dependency.ask, 1)
    assert policy.call(broken.ask, 1) == "none"


def test_no_more_answers_are_kept_than_allowed_and_the_least_used_goes_first(dependency: Dependency) -> None:
    policy = GracefulDegradation(LastGood(max_entries=2), "none", name="api")
    for question in (1, 2, 1, 3):
        policy.call(dependency.ask, question)
    dependency.error = ConnectionError()
    assert [policy.call(dependency.ask, question) for question in (1, 2, 3)] == [1, "none", 3]


def test_an_answer_that_stood_in_counts_as_used(dependency: Dependency) -> None:
    policy = GracefulDegradation(LastGood(max_entries=2), "none", name="api")
    for question in (1, 2):
        policy.call(dependency.ask, question)
    dependency.error = ConnectionError()
    policy.call(dependency.ask, 1)
    dependency.error = None
    policy.call(dependency.ask, 3)
    dependency.error = ConnectionError()
    assert [policy.call(dependency.ask, question) for question in (1, 2)] == [1, "none"]


def test_a_key_of_ones_own_tells_calls_apart(dependency: Dependency) -> None:
    policy = GracefulDegradation(LastGood(key=lambda question, **_: question % 10), name="api")
    policy.call(dependency.ask, 15, trace="a")
    dependency.error = ConnectionError()
    assert policy.call(dependency.ask, 25, trace="b") == 15


@pytest.mark.parametrize("settings", [LastGood(), LastGood(key=lambda _: 1 // 0)])
def test_a_call_whose_arguments_cannot_be_told_apart_is_not_kept(dependency: Dependency, settings: LastGood) -> None:
    policy = GracefulDegradation(settings, "none", name="api")
    assert policy.call(dependency.ask, [1]) == [1]
    dependency.error = ConnectionError()
    assert policy.call(dependency.ask, [1]) == "none"


def test_answers_are_kept_from_many_threads(dependency: Dependency) -> None:
    policy = GracefulDegradation(LastGood(max_entries=8), name="api")

    def work() -> None:
        for number in range(500):
            policy.call(dependency.ask, number % 16)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (policy.stats().primary, len(policy._memories[0])) == (4000, 8)


def test_a_child_has_its_parents_answers_though_the_locks_were_held(dependency: Dependency) -> None:
    policy = GracefulDegradation(LastGood(), name="api")
    policy.call(dependency.ask, 1)
    dependency.error = ConnectionError()
    held, forked = threading.Event(), threading.Event()

    def hold() -> None:
        with policy._memories[0]._lock, policy._tally.lock:
            held.set()
            forked.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if policy.call(dependency.ask, 1) == 1 else 1)
    _, status = os.waitpid(pid, 0)
    forked.set()
    holder.join()
    assert os.waitstatus_to_exitcode(status) == 0
