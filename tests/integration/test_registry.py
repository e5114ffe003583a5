"""The registry and the telemetry agree in both directions: what is emitted is registered, what is registered is emitted."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pybreaker
import pytest
from opentelemetry import trace
from pydantic import BaseModel, ValidationError

from integration.redis_server import awaited
from spanguard import semconv
from spanguard.config_manager import Profile, TimeoutSettings
from spanguard.error_handling import (
    Bulkhead,
    BulkheadFullError,
    CircuitBreaker,
    CircuitBreakerError,
    DeadLetterQueue,
    ErrorHandler,
    FailureRate,
    FallbackFailedError,
    GracefulDegradation,
    LastGood,
    RedisBreakerStorage,
    Retry,
    SlowCall,
    Timeout,
)
from spanguard.guard import Guard, GuardRegistry
from spanguard.instrumentation.limits import LimitsInstrumentor
from spanguard.instrumentation.pybreaker import PybreakerInstrumentor
from spanguard.instrumentation.pydantic import PydanticInstrumentor
from spanguard.monitoring import AlertManager
from spanguard.rate_limiter import (
    AdaptiveLimiter,
    AdaptiveLimitExceededError,
    BackpressureError,
    BackpressureManager,
    RateLimitExceededError,
    TokenBucketLimiter,
)
from spanguard.rate_limiter import rules as rate_limiter_rules
from spanguard.rate_limiter.storages import Fallback, decider_at
from spanguard.telemetry import EmittedEvent, add_sink, remove_sink
from spanguard.testing import FakeClock, Signals, capture
from spanguard.validation import InputValidator, validate_string

METRICS = {metric.name: metric for metric in semconv.METRICS}
EVENTS = {event.name: event for event in semconv.EVENTS}
SPANS = {span.name: span for span in semconv.SPANS}
TYPES: dict[str, Any] = {"string": str, "int": int, "double": (int, float), "boolean": bool}


class Letter(BaseModel):
    to: str


Entry = semconv.Metric | semconv.Event | semconv.Span


@pytest.fixture(scope="module")
def emitted(tmp_path_factory: pytest.TempPathFactory) -> Signals:
    """All that spanguard has to say, said once."""
    with capture() as signals:
        with trace.get_tracer("test").start_as_current_span("application"):
            run_a_breaker()
            run_a_breaker_with_windows()
            run_a_breaker_without_its_server(signals)
            run_a_limiter(signals)
            run_a_shared_limiter(signals)
            run_a_retry(signals)
            run_a_timeout()
            run_a_bulkhead(signals)
            run_a_queue(signals)
            run_an_adaptive_limiter(signals)
            run_a_degradation()
            run_an_alert(signals)
            run_the_plugin()
            run_a_model()
            run_a_validation()
            run_a_dead_letter_queue(tmp_path_factory.mktemp("letters") / "letters.db", signals)
            run_an_error_handler()
            run_a_guard()
            run_into_a_broken_sink()
        signals.points()
    return signals


def run_a_breaker() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(1, 10, name="api", exclude=[KeyError], clock=clock)
    breaker.call(int)
    call_quietly(breaker, KeyError())
    call_quietly(breaker, ConnectionError())
    call_quietly(breaker, ConnectionError())
    clock.advance(10)
    breaker.call(int)


def run_a_breaker_with_windows() -> None:
    clock = FakeClock()
    slow = CircuitBreaker(name="slow", slow_call=SlowCall(1.0, 1.0, minimum_calls=1), clock=clock)
    slow.call(clock.advance, 2)
    failing = CircuitBreaker(None, name="failing", failure_rate=FailureRate(0.5, minimum_calls=1), clock=clock)
    call_quietly(failing, ConnectionError())


def run_a_breaker_without_its_server(signals: Signals) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        storage = RedisBreakerStorage(f"redis://127.0.0.1:{unused.getsockname()[1]}", "shared")
        awaited(lambda: signals.events(semconv.BREAKER_STORAGE_EVENT.name))
    signals.points()  # the storage's status is there for as long as the storage is
    assert storage.status == "degraded"


def run_a_retry(signals: Signals) -> None:
    clock = FakeClock(auto_advance=True)
    retry = Retry(name="retried", clock=clock)
    breaker = CircuitBreaker(1, 10, name="api", throw_new_error_on_trip=False, clock=clock)
    with pytest.raises(CircuitBreakerError):
        retry(breaker(raising(ConnectionError())))()
    with pytest.raises(ConnectionError):
        retry.call(raising(ConnectionError(), ConnectionError(), ConnectionError()))
    with pytest.raises(KeyboardInterrupt):
        retry.call(raising(KeyboardInterrupt()))
    retry.call(raising(ConnectionError()))
    run_guards_below(retry, clock)
    signals.points()  # the budget's gauge is there for as long as the budget is


def run_guards_below(retry: Retry, clock: FakeClock) -> None:
    fail_once = raising(ConnectionError())

    def take_long() -> None:
        fail_once()
        clock.advance(2)

    retry(Timeout(1, name="slow", clock=clock)(take_long))()
    full = Bulkhead(1, name="full")
    with ExitStack() as others:
        # Somebody else takes the permit as soon as the first attempt has given it back.
        impatient = Retry(name="retried", clock=clock, retry_on=lambda _: bool(others.enter_context(full.calling())))
        with pytest.raises(BulkheadFullError):
            impatient.call(full(raising(ConnectionError())))
    busy = AdaptiveLimiter(initial=1, name="busy")
    with ExitStack() as others:
        impatient = Retry(name="retried", clock=clock, retry_on=lambda _: bool(others.enter_context(busy.calling())))
        with pytest.raises(AdaptiveLimitExceededError):
            impatient.call(busy(raising(ConnectionError())))


def raising(*errors: BaseException) -> Callable[[], None]:
    """A function that raises one of these after the other, and then succeeds."""
    left = list(errors)

    def call() -> None:
        if left:
            raise left.pop(0)

    return call


def call_quietly(breaker: pybreaker.CircuitBreaker, error: Exception) -> None:
    def fail() -> None:
        raise error

    with pytest.raises((type(error), pybreaker.CircuitBreakerError)):
        breaker.call(fail)


def run_a_limiter(signals: Signals) -> None:
    clock = FakeClock()
    limiter = TokenBucketLimiter(1, 1, name="api", max_waiters=1, clock=clock)
    limiter.acquire()
    limiter.acquire()
    limiter.acquire(wait=True, timeout=0.5)
    context = trace.set_span_in_context(trace.get_current_span())

    def wait() -> None:
        with trace.use_span(trace.get_current_span(context)):
            limiter.acquire(wait=True)

    waiter = threading.Thread(target=wait)
    waiter.start()
    clock.wait_for_sleepers()
    limiter.acquire(wait=True)  # there is no second place in the line
    clock.advance(1)
    waiter.join()
    signals.points()  # gauges are there for as long as the limiter is


def run_a_shared_limiter(signals: Signals) -> None:
    rules = (rate_limiter_rules.bucket("api", "token_bucket", 1, 1),)
    lost = Fallback("api", rules, 0.5).around(decider_at("redis://127.0.0.1:1", rules, name="api"))
    lost.decide("key")
    signals.points()


def run_a_timeout() -> None:
    clock = FakeClock()
    timeout = Timeout(1, name="api", clock=clock)
    timeout.call(int)
    timeout.call(clock.advance, 2)


def run_a_bulkhead(signals: Signals) -> None:
    clock = FakeClock(auto_advance=True)
    bulkhead = Bulkhead(1, queue=1, max_wait=1, name="api", clock=clock)
    full = Bulkhead(1, name="full")
    with bulkhead.calling(), full.calling():
        with pytest.raises(BulkheadFullError):
            bulkhead.call(int)
        with pytest.raises(BulkheadFullError):
            full.call(int)
        signals.points()


def run_a_queue(signals: Signals) -> None:
    clock = FakeClock(auto_advance=True)
    queue: BackpressureManager[int] = BackpressureManager(1, name="api", clock=clock)
    queue.put(1)
    with pytest.raises(BackpressureError):
        queue.put(2, timeout=1)
    signals.points()  # gauges are there for as long as the queue is
    queue.get()
    shedding: BackpressureManager[int] = BackpressureManager(1, "drop_newest", name="full")
    assert [shedding.put(number) for number in range(2)] == [True, False]


def run_an_adaptive_limiter(signals: Signals) -> None:
    clock = FakeClock(auto_advance=True)
    limiter = AdaptiveLimiter(initial=1, queue=1, max_wait=1, window_calls=1, name="api", clock=clock)
    with limiter.calling(), pytest.raises(AdaptiveLimitExceededError):
        limiter.call(int)
    full = AdaptiveLimiter(initial=1, name="full")
    with full.calling(), pytest.raises(AdaptiveLimitExceededError):
        full(int)()
    signals.points()  # gauges are there for as long as the limiter is


def run_a_degradation() -> None:
    def fail() -> int:
        raise ConnectionError

    policy = GracefulDegradation(LastGood(key=lambda: "all", on=TimeoutError), fail, name="api")
    with pytest.raises(FallbackFailedError):
        policy.call(fail)
    answers = iter([1])
    stale = GracefulDegradation(LastGood(), name="stale", on=StopIteration)
    assert [stale.call(next, answers) for _ in range(2)] == [1, 1]


def run_an_alert(signals: Signals) -> None:
    manager = AlertManager()
    manager.raise_alert("A", summary="s", description="d", labels={"x": "y"}, runbook_url="https://example.org")
    signals.points()
    manager.resolve_alert("A", labels={"x": "y"})


def run_the_plugin() -> None:
    PybreakerInstrumentor().instrument()
    try:
        breaker = pybreaker.CircuitBreaker(name="theirs")
        call_quietly(breaker, ConnectionError())
    finally:
        PybreakerInstrumentor().uninstrument()
    LimitsInstrumentor().instrument()
    LimitsInstrumentor().uninstrument()


def run_a_model() -> None:
    PydanticInstrumentor().instrument()
    try:
        with pytest.raises(ValidationError):
            Letter.model_validate({})
    finally:
        PydanticInstrumentor().uninstrument()


def run_a_validation() -> None:
    for threats in ("warn", "block"):
        validate_string("<script>alert(1)</script>", threats=threats)
    InputValidator(slow=1e-9).validate("7", "integer")


def run_a_dead_letter_queue(path: Path, signals: Signals) -> None:
    queue = DeadLetterQueue(f"sqlite:///{path}", "letters")
    queue.handler("fails")(lambda _: int("x"))
    queue.handler("works")(lambda _: None)
    queue.discard(queue.add("fails", {}, error=ConnectionError()))
    queue.add("fails", {}, error=ConnectionError())
    Timeout(1, name="letters").call(queue.add, "works", {})
    queue.replay()
    signals.points()  # gauges are there for as long as the queue is
    queue.close()


def run_a_guard() -> None:
    limiter = TokenBucketLimiter(1, 1, name="api", clock=FakeClock())
    guarded = Guard("api", rate_limiter=limiter)
    guarded.call(int)
    with pytest.raises(RateLimitExceededError):
        guarded.call(int)
    registry = GuardRegistry()
    registry.reconfigure(Profile())
    registry.reconfigure(Profile(timeouts={"api": TimeoutSettings(seconds=1)}))


def run_an_error_handler() -> None:
    def fail() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError) as caught:
        fail()
    ErrorHandler(keep_messages=True).handle(caught.value)


def run_into_a_broken_sink() -> None:
    def broken(event: EmittedEvent) -> None:
        raise LookupError(event.name)

    add_sink(broken)
    try:
        CircuitBreaker(name="api").open()
    finally:
        remove_sink(broken)


def disagreements(entry: Entry, attributes: Mapping[str, Any]) -> Iterable[str]:
    """One line for each attribute that is missing, unknown, of another type or outside its closed set."""
    if set(attributes) == {semconv.METRIC_OVERFLOW.key}:
        return
    for attribute in entry.attributes:
        if attribute.key not in attributes:
            yield f"{entry.name}: {attribute.key} is missing"
    for key, value in attributes.items():
        known = registered(entry, key)
        if known is None:
            yield f"{entry.name}: {key} is not registered"
        elif not isinstance(value, TYPES[known.type]):
            yield f"{entry.name}: {key} is {value!r}, not a {known.type}"
        elif known.values and value not in known.values:
            yield f"{entry.name}: {key} is {value!r}, not one of {known.values}"


def registered(entry: Entry, key: str) -> semconv.Attribute | None:
    for attribute in (*entry.attributes, *entry.optional):
        if key == attribute.key or (attribute.is_prefix and key.startswith(f"{attribute.key}.")):
            return attribute
    return None


def ours(emitted: Signals) -> list[tuple[Entry | None, str, Mapping[str, Any]]]:
    """Every signal of spanguard's scope: its entry, its name, its attributes."""
    found: list[tuple[Entry | None, str, Mapping[str, Any]]] = []
    found += [(METRICS.get(p.metric), p.metric, p.attributes) for p in emitted.points() if p.scope == "spanguard"]
    found += [(EVENTS.get(e.name), e.name, e.attributes) for e in emitted.events() if e.scope == "spanguard"]
    spans = [span for span in emitted.spans() if span.scope == "spanguard"]
    found += [(SPANS.get(s.name.split(" ")[0]), s.name, s.attributes) for s in spans]
    return found


def test_every_emitted_name_is_registered(emitted: Signals) -> None:
    assert [name for entry, name, _ in ours(emitted) if entry is None] == []


def test_every_emitted_attribute_is_registered_with_its_type_and_values(emitted: Signals) -> None:
    assert [line for entry, _, attributes in ours(emitted) if entry for line in disagreements(entry, attributes)] == []


def test_every_emitted_metric_has_its_registered_unit_and_kind(emitted: Signals) -> None:
    kinds = {(p.metric, p.unit, p.kind) for p in emitted.points() if p.scope == "spanguard"}
    assert kinds == {(metric.name, metric.unit, metric.kind.value) for metric in semconv.METRICS}


def test_every_registered_name_is_emitted(emitted: Signals) -> None:
    seen = {entry.name for entry, _, _ in ours(emitted) if entry}
    assert {*METRICS, *EVENTS, *SPANS} - seen == set()


def test_every_registered_attribute_is_emitted(emitted: Signals) -> None:
    seen = {
        (entry.name, attribute.key)
        for entry, _, attributes in ours(emitted)
        if entry
        for attribute in map(lambda key, entry=entry: registered(entry, key), attributes)  # type: ignore[misc]
        if attribute
    }
    wanted = {
        (entry.name, attribute.key)
        for entry in (*semconv.METRICS, *semconv.EVENTS, *semconv.SPANS)
        for attribute in (*entry.attributes, *entry.optional)
    }
    assert wanted - seen == set()


def test_a_span_of_the_application_is_annotated_with_registered_names_only(emitted: Signals) -> None:
    (application,) = emitted.spans("application")
    assert set(application.attributes) <= {attribute.key for attribute in semconv.ANNOTATIONS}


def test_names_follow_the_naming_guide() -> None:
    for name in (*METRICS, *EVENTS):
        assert name.startswith("spanguard.")
        assert name == name.lower()
        assert not name.endswith("_total")


def test_no_name_is_registered_twice() -> None:
    assert len(METRICS) == len(semconv.METRICS)
    assert len(EVENTS) == len(semconv.EVENTS)
    assert len(SPANS) == len(semconv.SPANS)
