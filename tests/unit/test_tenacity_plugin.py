"""The plugin of tenacity: what it tells of other people's retries, and that it changes nothing."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import stamina
import tenacity
from opentelemetry import trace

from spanguard import semconv
from spanguard.instrumentation.tenacity import TenacityInstrumentor
from spanguard.testing import Signals

CALLS = semconv.RETRY_CALLS_METRIC.name
OUTCOME = semconv.RETRY_OUTCOME.key
REASON = semconv.RETRY_REASON.key
POLICY = semconv.POLICY_NAME.key


@pytest.fixture
def plugin(signals: Signals) -> Iterator[Signals]:
    TenacityInstrumentor().instrument()
    yield signals
    TenacityInstrumentor().uninstrument()


def failing(count: int, error: BaseException | None = None) -> Callable[[], str]:
    left = [error or ConnectionError("secret") for _ in range(count)]

    def fetch() -> str:
        if left:
            raise left.pop()
        return "answer"

    return fetch


def failing_async(count: int) -> Callable[[], Any]:
    fetch = failing(count)

    async def fetch_async() -> str:
        return fetch()

    return fetch_async


def ends(signals: Signals) -> dict[str, float]:
    found = {end: signals.increase(CALLS, {OUTCOME: end}) for end in semconv.RETRY_OUTCOME.values}
    return {end: count for end, count in found.items() if count}


def decorated(fetch: Callable[[], str]) -> str:
    return tenacity.retry(stop=tenacity.stop_after_attempt(3))(fetch)()


def called(fetch: Callable[[], str]) -> str:
    return tenacity.Retrying(stop=tenacity.stop_after_attempt(3))(fetch)


def looped(fetch: Callable[[], str]) -> str:
    answer = ""
    for attempt in tenacity.Retrying(stop=tenacity.stop_after_attempt(3)):
        with attempt:
            answer = fetch()
    return answer


def returned_from_a_loop(fetch: Callable[[], str]) -> str:
    for attempt in tenacity.Retrying(stop=tenacity.stop_after_attempt(3)):
        with attempt:
            return fetch()
    raise AssertionError


def by_stamina(fetch: Callable[[], str]) -> str:
    return stamina.retry(on=ConnectionError, attempts=3, wait_initial=0, wait_jitter=0)(fetch)()


def by_a_block_of_stamina(fetch: Callable[[], str]) -> str:
    for attempt in stamina.retry_context(on=ConnectionError, attempts=3, wait_initial=0, wait_jitter=0):
        with attempt:
            return fetch()
    raise AssertionError


FORMS = [decorated, called, looped, returned_from_a_loop, by_stamina, by_a_block_of_stamina]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize(("failures", "end"), [(0, "success_without_retry"), (2, "success_with_retry")])
def test_every_form_counts_a_success_once(plugin: Signals, form: Callable[[Any], str], failures: int, end: str) -> None:
    for _ in range(3):
        assert form(failing(failures)) == "answer"
    assert ends(plugin) == {end: 3}


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_form_tells_that_it_gave_up(plugin: Signals, form: Callable[[Any], str]) -> None:
    with pytest.raises((tenacity.RetryError, ConnectionError)):
        form(failing(9))
    assert ends(plugin) == {"failure_with_retry": 1}
    (event,) = plugin.events(semconv.RETRY_EXHAUSTED_EVENT.name)
    assert (event.attributes[REASON], event.attributes[semconv.RETRY_ATTEMPTS.key]) == ("attempts", 3)
    assert event.attributes[semconv.ERROR_TYPE.key] == "ConnectionError"
    assert "secret" not in repr([plugin.events(), plugin.spans(), plugin.points()])


async def awaited(fetch: Callable[[], Any]) -> Any:
    return await tenacity.retry(stop=tenacity.stop_after_attempt(3))(fetch)()


async def awaited_loop(fetch: Callable[[], Any]) -> Any:
    answer = ""
    async for attempt in tenacity.AsyncRetrying(stop=tenacity.stop_after_attempt(3)):
        with attempt:
            answer = await fetch()
    return answer


async def returned_from_an_awaited_loop(fetch: Callable[[], Any]) -> Any:
    async for attempt in tenacity.AsyncRetrying(stop=tenacity.stop_after_attempt(3)):
        with attempt:
            return await fetch()
    raise AssertionError


async def awaited_by_stamina(fetch: Callable[[], Any]) -> Any:
    return await stamina.retry(on=ConnectionError, attempts=3, wait_initial=0, wait_jitter=0)(fetch)()


@pytest.mark.parametrize(
    "form",
    [awaited, awaited_loop, returned_from_an_awaited_loop, awaited_by_stamina],
    ids=lambda form: form.__name__,
)
async def test_every_async_form_counts_each_end_once(plugin: Signals, form: Callable[[Any], Any]) -> None:
    assert await form(failing_async(0)) == "answer"
    assert await form(failing_async(2)) == "answer"
    with pytest.raises((tenacity.RetryError, ConnectionError)):
        await form(failing_async(9))
    gc.collect()
    assert ends(plugin) == {"success_without_retry": 1, "success_with_retry": 1, "failure_with_retry": 1}


async def test_a_cancelled_attempt_counts_as_cancelled(plugin: Signals) -> None:
    begun = asyncio.Event()

    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(tenacity.retry(hang)())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ends(plugin) == {"cancelled": 1}


def test_an_error_that_is_not_retried_is_a_failure_without_retry(plugin: Signals) -> None:
    guarded = tenacity.retry(retry=tenacity.retry_if_exception_type(OSError))
    with pytest.raises(ValueError, match="no"):
        guarded(failing(1, ValueError("no")))()
    assert plugin.increase(CALLS, {OUTCOME: "failure_without_retry", REASON: "not_retryable"}) == 1
    assert plugin.events(semconv.RETRY_EXHAUSTED_EVENT.name) == []


def test_a_value_that_stands_in_for_a_failure_is_still_a_failure(plugin: Signals) -> None:
    guarded = tenacity.retry(stop=tenacity.stop_after_attempt(2), retry_error_callback=lambda _: "stand-in")
    assert guarded(failing(5))() == "stand-in"
    assert guarded(failing(0))() == "answer"
    assert ends(plugin) == {"failure_with_retry": 1, "success_without_retry": 1}


def test_try_again_and_results_that_are_retried_are_no_successes(plugin: Signals) -> None:
    assert tenacity.retry(failing(1, tenacity.TryAgain()))() == "answer"
    answers = iter([None, 1])
    assert tenacity.retry(retry=tenacity.retry_if_result(lambda x: x is None))(lambda: next(answers))() == 1
    assert ends(plugin) == {"success_with_retry": 2}


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        (tenacity.stop_after_attempt(2), "attempts"),
        (tenacity.stop_after_delay(0), "timeout"),
        (tenacity.stop_after_attempt(2) | tenacity.stop_after_delay(99), "attempts"),
        (tenacity.stop_after_attempt(99) | tenacity.stop_after_delay(0), "timeout"),
        (lambda _: True, "other"),
    ],
)
def test_the_reason_is_the_stop_condition(plugin: Signals, stop: Any, reason: str) -> None:
    with pytest.raises(tenacity.RetryError):
        tenacity.retry(stop=stop)(failing(9))()
    assert plugin.increase(CALLS, {REASON: reason}) == 1


def test_a_policy_is_named_by_the_application_by_the_function_or_not_at_all(plugin: Signals) -> None:
    fetch = failing(0)
    for form in (decorated, by_stamina, looped, by_a_block_of_stamina):
        form(fetch)
    for attempt in tenacity.Retrying(name="feeds"):
        with attempt:
            pass
    del attempt
    names = [f"{__name__}.{fetch.__qualname__}", "unnamed", "<context block>", "feeds"]
    assert [plugin.increase(CALLS, {POLICY: name}) for name in names] == [2, 1, 1, 1]


def test_waits_and_later_attempts_are_spans_below_the_current_one(plugin: Signals) -> None:
    with trace.get_tracer("app").start_as_current_span("request"), pytest.raises(tenacity.RetryError):
        tenacity.retry(stop=tenacity.stop_after_attempt(2), wait=tenacity.wait_fixed(0.01))(failing(9))()
    (request,) = plugin.spans("request")
    children = [span for span in plugin.spans() if span.parent_id == request.span_id]
    assert [(span.name.split()[0], span.status) for span in children] == [("backoff", "unset"), ("attempt", "error")]
    assert children[0].end - children[0].start >= 10_000_000
    assert children[0].end <= children[1].start
    assert (request.attributes[REASON], request.attributes[semconv.RETRY_ATTEMPTS.key]) == ("attempts", 2)


def test_no_span_is_a_root(plugin: Signals) -> None:
    decorated(failing(2))
    assert plugin.spans() == []


def test_waits_and_attempts_are_recorded(plugin: Signals) -> None:
    tenacity.retry(wait=tenacity.wait_fixed(0.01))(failing(2))()
    assert plugin.increase(semconv.RETRY_BACKOFF_METRIC.name) == 2
    assert plugin.increase(semconv.RETRY_ATTEMPTS_METRIC.name) == 1


def methods() -> list[Any]:
    return [
        tenacity.BaseRetrying.__dict__["iter"],
        tenacity.AsyncRetrying.__dict__["iter"],
        tenacity.AttemptManager.__dict__["__exit__"],
    ]


def test_uninstrument_leaves_nothing_behind(signals: Signals) -> None:
    before = methods()
    TenacityInstrumentor().instrument()
    assert methods() != before
    TenacityInstrumentor().uninstrument()
    assert methods() == before
    decorated(failing(1))
    assert ends(signals) == {}


def test_who_wrapped_after_us_keeps_the_wrapper_and_we_fall_silent(
    signals: Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    TenacityInstrumentor().instrument()
    ours = tenacity.BaseRetrying.iter

    def theirs(self: Any, retry_state: Any) -> Any:
        return ours(self, retry_state)

    monkeypatch.setattr(tenacity.BaseRetrying, "iter", theirs)
    TenacityInstrumentor().uninstrument()
    assert tenacity.BaseRetrying.iter is theirs
    assert decorated(failing(1)) == "answer"
    assert ends(signals) == {}


def test_results_errors_statistics_and_hooks_are_what_they_were(plugin: Signals) -> None:
    heard: list[str] = []
    guarded = tenacity.retry(
        stop=tenacity.stop_after_attempt(2),
        before=lambda _: heard.append("before"),
        after=lambda _: heard.append("after"),
        before_sleep=lambda _: heard.append("sleep"),
        reraise=True,
    )(failing(2))
    with pytest.raises(ConnectionError, match="secret"):
        guarded()
    assert heard == ["before", "after", "sleep", "before", "after"]
    assert guarded.statistics["attempt_number"] == 2
