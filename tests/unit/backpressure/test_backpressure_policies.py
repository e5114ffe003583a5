"""What a full queue does with one item more, and which settings it takes."""

from __future__ import annotations

import pickle
import queue
from typing import Any

import pytest

from spanguard.errors import ConfigurationError, SpanguardError
from spanguard.rate_limiter import BackpressureError, BackpressureManager, CoDel, QueueEmptyError
from unit.backpressure.conftest import Make


def rest(queue: BackpressureManager[Any]) -> list[Any]:
    return queue.drain(0)


def test_items_leave_in_the_order_in_which_they_came(make: Make) -> None:
    orders = make(3)
    for item in "abc":
        assert orders.put(item, priority=ord(item))
    assert [orders.get() for _ in "abc"] == ["a", "b", "c"]


def test_reject_tells_the_producer_what_every_user_of_queues_catches(make: Make) -> None:
    orders = make(1, "reject")
    orders.put("a")
    with pytest.raises(queue.Full) as caught:
        orders.put("b")
    error = caught.value
    assert isinstance(error, BackpressureError)
    assert isinstance(error, TimeoutError)
    assert isinstance(error, SpanguardError)
    assert (error.name, error.outcome, error.limit, error.waited) == ("orders", "rejected", 1, 0.0)
    assert rest(orders) == ["a"]


def test_block_with_no_time_rejects(make: Make) -> None:
    orders = make(1)
    orders.put("a", timeout=0)
    with pytest.raises(BackpressureError) as caught:
        orders.put("b", timeout=0)
    assert caught.value.outcome == "rejected"


def test_drop_oldest_gives_the_place_of_the_first_to_the_new_one(make: Make) -> None:
    shed: list[tuple[str, str]] = []
    orders = make(2, "drop_oldest", on_shed=lambda *dropped: shed.append(dropped))
    assert [orders.put(item) for item in "abcd"] == [True] * 4
    assert rest(orders) == ["c", "d"]
    assert shed == [("a", "oldest"), ("b", "oldest")]


def test_drop_newest_drops_the_new_one(make: Make) -> None:
    shed: list[tuple[str, str]] = []
    orders = make(2, "drop_newest", on_shed=lambda *dropped: shed.append(dropped))
    assert [orders.put(item) for item in "abc"] == [True, True, False]
    assert rest(orders) == ["a", "b"]
    assert shed == [("c", "newest")]


def test_priority_drops_the_newest_of_the_lowest_priority(make: Make) -> None:
    shed: list[tuple[str, str]] = []
    orders = make(3, "priority", on_shed=lambda *dropped: shed.append(dropped))
    for item, priority in (("a", 1), ("b", 1), ("c", 2)):
        orders.put(item, priority=priority)
    assert orders.put("d", priority=5)
    assert shed == [("b", "priority")]
    assert rest(orders) == ["a", "c", "d"]


@pytest.mark.parametrize("priority", [0, 1])
def test_priority_drops_a_new_item_that_is_not_dearer_than_the_others(make: Make, priority: int) -> None:
    orders = make(1, "priority")
    orders.put("a", priority=1)
    assert not orders.put("b", priority=priority)
    assert rest(orders) == ["a"]


def test_priority_forgets_items_that_were_taken(make: Make) -> None:
    orders = make(1, "priority")
    orders.put("a", priority=1)
    orders.get()
    orders.put("b", priority=3)
    assert not orders.put("c", priority=2)
    assert rest(orders) == ["b"]


def test_a_callback_that_fails_is_kept_from_the_producer(make: Make) -> None:
    def fail(*_: object) -> None:
        raise LookupError

    orders = make(1, "drop_oldest", on_shed=fail, on_change=fail)
    assert [orders.put(item) for item in "ab"] == [True, True]
    assert rest(orders) == ["b"]


def test_an_empty_queue_tells_the_consumer_what_every_user_of_queues_catches(make: Make) -> None:
    with pytest.raises(queue.Empty) as caught:
        make().get(timeout=0)
    assert isinstance(caught.value, QueueEmptyError)
    assert isinstance(caught.value, TimeoutError)


@pytest.mark.parametrize("error", [BackpressureError("q", "timed_out", 3, 1.5), QueueEmptyError("q")])
def test_errors_survive_pickling(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"limit": 0}, "limit is 0"),
        ({"limit": True}, "limit is True"),
        ({"limit": 1.5}, "limit is 1.5"),
        ({"policy": "drop"}, "policy is 'drop'; it must be one of 'block'"),
        ({"high_watermark": 1.1}, "high_watermark is 1.1"),
        ({"low_watermark": float("nan")}, "low_watermark is nan"),
        ({"low_watermark": 0.8}, "must be below the high one"),
        ({"name": ""}, "name is ''"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(make: Make, settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        make(**settings)


def test_all_that_is_wrong_is_told_at_once(make: Make) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make(0, "drop", high_watermark=2)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("settings", [{"target": 0}, {"interval": float("inf")}, {"target": 0.2, "interval": 0.2}])
def test_codel_settings_that_make_no_sense_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="CoDel"):
        CoDel(**settings)


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), "1"])
def test_a_time_that_makes_no_sense_is_refused(make: Make, timeout: Any) -> None:
    orders = make()
    for call in (lambda: orders.put("a", timeout=timeout), lambda: orders.get(timeout=timeout)):
        with pytest.raises(ConfigurationError, match="time to wait"):
            call()


def test_a_priority_that_is_no_whole_number_is_refused(make: Make) -> None:
    with pytest.raises(ConfigurationError, match="priority is"):
        make().put("a", priority=1.5)  # type: ignore[arg-type]
