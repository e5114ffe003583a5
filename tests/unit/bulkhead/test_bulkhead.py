"""The bulkhead: so many calls at once, who is refused, and what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from spanguard.error_handling import Bulkhead, BulkheadFullError
from spanguard.errors import BlockingWaitError
from spanguard.telemetry.deadline import deadline
from spanguard.testing import FakeClock, Signals
from unit.bulkhead.callers import all_taken, is_idle, running, until, wait_until

# --- refusals ------------------------------------------------------------------------------------------------------


def test_without_a_queue_a_call_beyond_the_limit_is_refused_at_once(make: Callable[..., Bulkhead]) -> None:
    bulkhead = make(2)
    with all_taken(bulkhead), pytest.raises(BulkheadFullError) as caught:
        bulkhead.call(int)
    error = caught.value
    assert (error.name, error.outcome, error.limit, error.queued, error.waited) == ("api", "rejected", 2, 0, 0.0)
    assert isinstance(error, TimeoutError)


def test_a_call_beyond_the_queue_is_refused(make: Callable[..., Bulkhead]) -> None:
    bulkhead = make(queue=1)
    with all_taken(bulkhead) as release, running(lambda: bulkhead.call(int)):
        wait_until(lambda: bulkhead.stats().queued == 1)
        with pytest.raises(BulkheadFullError, match="1 wait"):
            bulkhead.call(int)
        release()
    assert bulkhead.stats().admitted == 2


def test_a_thread_waits_no_longer_than_max_wait(make: Callable[..., Bulkhead], clock: FakeClock) -> None:
    bulkhead, caught = make(queue=1, max_wait=2), []

    def attempt() -> None:
        with pytest.raises(BulkheadFullError) as refusal:
            bulkhead.call(int)
        caught.append(refusal.value)

    with all_taken(bulkhead), running(attempt):
        clock.wait_for_sleepers()
        clock.advance(2)
        wait_until(lambda: bool(caught))
    assert (caught[0].outcome, caught[0].waited) == ("timed_out", 2.0)
    assert is_idle(bulkhead)


async def test_a_task_waits_no_longer_than_max_wait(make: Callable[..., Bulkhead], clock: FakeClock) -> None:
    bulkhead = make(queue=1, max_wait=2)
    async with bulkhead.calling():
        attempt = asyncio.ensure_future(bulkhead.call_async(asyncio.sleep, 0))
        await until(lambda: clock.sleeping == 1)
        clock.advance(2)
        with pytest.raises(BulkheadFullError) as caught:
            await attempt
    assert caught.value.outcome == "timed_out"
    assert bulkhead.stats().timed_out == 1
    assert is_idle(bulkhead)


async def test_nobody_waits_longer_than_the_deadline_around_it(make: Callable[..., Bulkhead], clock: FakeClock) -> None:
    bulkhead = make(queue=1, max_wait=60)
    async with bulkhead.calling():
        with deadline(1, clock=clock):
            attempt = asyncio.ensure_future(bulkhead.call_async(asyncio.sleep, 0))
        await until(lambda: clock.sleeping == 1)
        clock.advance(1)
        with pytest.raises(BulkheadFullError) as caught:
            await attempt
    assert caught.value.waited == 1.0


async def test_a_plain_call_that_could_wait_is_refused_in_the_thread_of_an_event_loop(
    make: Callable[..., Bulkhead],
) -> None:
    with pytest.raises(BlockingWaitError, match="call_async"):
        make(queue=1).call(int)


async def test_a_plain_call_that_cannot_wait_may_be_made_there(make: Callable[..., Bulkhead]) -> None:
    assert make().call(str, 1) == "1"


# --- signals -------------------------------------------------------------------------------------------------------


def test_limit_usage_and_queue_are_exported(signals: Signals) -> None:
    # Of a name of its own: bulkheads that share one add up, and those of other tests may not be collected yet.
    bulkhead, policy = Bulkhead(2, 5, name="exported"), {"spanguard.policy.name": "exported"}
    with all_taken(bulkhead) as release, running(lambda: bulkhead.call(int)):
        wait_until(lambda: bulkhead.stats().queued == 1)
        values = [signals.value(f"spanguard.bulkhead.{name}", policy) for name in ("limit", "usage", "queued")]
        release()
    assert values == [2, 2, 1]


def test_every_call_is_counted_by_its_outcome(make: Callable[..., Bulkhead], signals: Signals) -> None:
    bulkhead = make()
    with bulkhead.calling(), pytest.raises(BulkheadFullError):
        bulkhead.call(int)
    counted = {
        outcome: signals.increase("spanguard.bulkhead.calls", {"spanguard.bulkhead.outcome": outcome})
        for outcome in ("admitted", "rejected")
    }
    assert counted == {"admitted": 1, "rejected": 1}


def test_a_refusal_is_an_event_and_a_failed_span(make: Callable[..., Bulkhead], signals: Signals) -> None:
    bulkhead = make()
    with all_taken(bulkhead), pytest.raises(BulkheadFullError):
        bulkhead.call(int)
    (event,) = signals.events("spanguard.bulkhead.rejected")
    (span,) = [span for span in signals.spans("guard api") if span.status == "error"]
    assert event.attributes["spanguard.bulkhead.permit.count"] == 1
    assert event.span_id == span.span_id
    assert span.attributes["spanguard.outcome"] == "rejected"
    assert span.attributes["spanguard.bulkhead.outcome"] == "rejected"


def test_a_wait_is_a_child_span_and_a_duration(make: Callable[..., Bulkhead], signals: Signals) -> None:
    bulkhead = make(queue=1)
    with all_taken(bulkhead) as release, running(lambda: bulkhead.call(int)):
        wait_until(lambda: bulkhead.stats().queued == 1)
        release()
    (wait,) = signals.spans("queue api")
    assert wait.parent_id in {span.span_id for span in signals.spans("guard api")}
    assert wait.attributes["spanguard.bulkhead.outcome"] == "admitted"
    assert [point.attributes for point in signals.points("spanguard.bulkhead.call.time_in_queue")]
