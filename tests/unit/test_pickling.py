"""Public errors, settings and statistics survive pickling and copying: process pools, queues and caches need that.

What is public is looked up, so that a new one cannot be forgotten: without a sample here the first test fails.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from opentelemetry._logs import SeverityNumber
from pydantic import BaseModel, SecretStr

import spanguard
from spanguard import errors, semconv
from spanguard.config_manager import (
    AlertSettings,
    BudgetSettings,
    BulkheadSettings,
    DeadLetterSettings,
    GuardSettings,
    LimiterSettings,
    RetrySettings,
    TimeoutSettings,
    load_profile,
)
from spanguard.config_manager import BreakerSettings as BreakerProfile
from spanguard.error_handling import (
    Answer,
    BreakerSettings,
    BreakerStats,
    BulkheadFullError,
    BulkheadStats,
    CallTimeoutError,
    CircuitBreakerError,
    CountWindow,
    DeadLetter,
    DeadLetterDatabaseError,
    DeadLetterError,
    DeadLetterLeasedError,
    DeadLetterNotFoundError,
    DeadLetterPayloadError,
    DegradationStats,
    Degraded,
    ErrorRecord,
    ErrorSeverity,
    ErrorSource,
    ErrorStats,
    FailureRate,
    FallbackFailedError,
    FallbackFunction,
    FallbackValue,
    LastGood,
    LetterState,
    ReplayReport,
    RetryConfig,
    RetryStats,
    SlowCall,
    TimeoutStats,
    TimeWindow,
    retry_budget,
)
from spanguard.guard import Draft, GuardStats
from spanguard.instrumentation.pybreaker import StateChange
from spanguard.monitoring import Alert
from spanguard.rate_limiter import (
    AdaptiveLimitExceededError,
    AdaptiveStats,
    Aimd,
    BackpressureError,
    BackpressureStats,
    CoDel,
    Gradient2,
    LimiterStats,
    PressureChange,
    QueueClosedError,
    QueueEmptyError,
    RateLimitExceededError,
    RateLimitStatus,
    TimeInQueue,
    Vegas,
)
from spanguard.rate_limiter.adaptive import Estimate, Window
from spanguard.rate_limiter.http import HttpRequest
from spanguard.stack import GoMissingError, ServerStatus, StackEndpoints, StackSettings, StackStatus
from spanguard.telemetry import EmittedEvent
from spanguard.testing import CapturedEvent, CapturedPoint, CapturedSpan
from spanguard.validation import (
    BooleanType,
    ContentSanitizer,
    DatetimeType,
    FloatType,
    IntegerType,
    InvalidInputError,
    ListType,
    OptionalType,
    Problem,
    StringType,
    Threat,
    ValidationResult,
)
from spanguard.validation.inputs import EmailType, HostLookupError, PinnedUrl, UrlType
from spanguard.validation.threats import Finding, ThreatReport

NOT_DATA = {
    Alert: "it holds the live context in which it is sent again",
    Draft: "it holds the policies that are about to work",
}

STATUS = RateLimitStatus(allowed=False, remaining=0, retry_after=1.5, reset_after=9.0, limit=10)
DEGRADED = Degraded("prices", "stale", ConnectionError("no route"), age=12.5)
SERVER = ServerStatus(
    "jaeger", 17, True, False, {"query": 1}, "http://localhost:1", "http://localhost:1/up", Path("log")
)
ENDPOINTS = StackEndpoints("http://a", "http://b", "http://c", "http://d", "http://e", "http://f")
PROBLEM = Problem("too_long", "at most 5 characters are allowed", ("names", 3), 5)
THREAT = Threat("warn", ("xss",), ("script_tag",), 5, 17, "8f0d96b0e1608afa")

SAMPLES: list[Any] = [
    errors.SpanguardError("what"),
    errors.ConfigurationError("rate is -1; it must be above 0."),
    errors.ConfigurationError(["rate is -1; it must be above 0.", "burst is 0; it must be at least 1."]),
    errors.ResourceUnavailableError("port 4318 is taken"),
    errors.DeadlineExceededError("the deadline passed 0.1 s ago"),
    errors.BlockingWaitError("use acquire_async"),
    CircuitBreakerError("api", "open", 3.5, was_called=True, last_error_type="ConnectionError"),
    CircuitBreakerError(None, "half_open", 0.0),
    BulkheadFullError("api", "rejected", 4, 8, 0.0),
    BulkheadFullError("api", "timed_out", 4, 8, 1.5),
    CallTimeoutError("search", 2.0),
    STATUS,
    RateLimitExceededError("api", STATUS),
    FallbackFailedError("prices", [ConnectionError("no route"), KeyError("ETH")]),
    DeadLetterError("refused"),
    DeadLetterPayloadError("too large"),
    DeadLetterNotFoundError("no letter 17"),
    DeadLetterLeasedError("letter 17 is being replayed"),
    DeadLetterDatabaseError("of version 2"),
    GoMissingError("no Go"),
    RetryConfig(
        max_attempts=None,
        base_delay=0.2,
        max_delay=9.0,
        multiplier=3.0,
        jitter="equal",
        timeout=20.0,
        retry_on=(OSError, TimeoutError),
        retry_result=bool,
        honor_retry_after=False,
        max_retry_after=5.0,
        budget=retry_budget("pickled_settings", ratio=0.1),
    ),
    RetryConfig(),
    CountWindow(7),
    TimeWindow(7.0),
    FailureRate(0.3, minimum_calls=4),
    SlowCall(2.0, rate=0.4, minimum_calls=6),
    BreakerSettings(
        fail_max=None,
        reset_timeout=9.0,
        success_threshold=2,
        half_open_max_calls=3,
        failure_rate=FailureRate(0.3),
        slow_call=SlowCall(2.0),
        window=TimeWindow(60.0),
        probe_lease=5.0,
    ),
    BreakerStats("api", "open", 5, 0, 1, 10, 5, 2, 3.5, "ConnectionError", 1, 2, 3, 4, 5),
    BulkheadStats("api", 4, 3, 2, 10, 9, 8, 7),
    TimeoutStats("search", 2.0, 1, 2, 3, 4),
    DegradationStats("prices", 1, 2, 3, 4, 5),
    LimiterStats(1, 2, 3, 4, 5, 6, 7, 8, TimeInQueue(0.1, 0.2, 0.3, 0.4)),
    TimeInQueue(0.1, 0.2, 0.3, 0.4),
    AdaptiveLimitExceededError("api", "timed_out", 4, 8, 1.5),
    AdaptiveStats("api", 4, 3, 2, 0.25, None, 10, 9, 8, 7, 6),
    Window(0.2, 7, dropped=True),
    Estimate(12.0, "latency"),
    Aimd(increase=2.0, backoff=0.5, latency_limit=1.5),
    Vegas(probe_every=17),
    Gradient2(queue=5, tolerance=2.0, smoothing=0.3, long_window=700),
    BackpressureError("mail", "timed_out", 4, 1.5),
    QueueEmptyError("mail"),
    QueueClosedError("mail"),
    BackpressureStats("mail", 9, 8, True, 1.5, 7, 6, 5, 4, 3, 2, 1, {"priority": 2}, 3, 4, 5),
    PressureChange(False, "relieved", 1, 9, 0.5, 2.5, 3),
    HttpRequest("GET", "/posts", "10.0.0.1", {"accept": "text/html"}),
    CoDel(target=0.01, interval=0.2),
    RetryStats("api", 1, 2, 3, 4, 5, 0.5),
    GuardStats("api", timeout=TimeoutStats("api", 2.0, 1, 2, 3, 4), retry=RetryStats("api", 1, 2, 3, 4, 5, None)),
    ErrorStats(1, 2, 10.0, 20.0),
    FallbackValue([1], on=OSError),
    FallbackFunction(len, on=(OSError, KeyError)),
    LastGood(max_age=9.0, max_entries=7, key=len, on=OSError),
    DEGRADED,
    Answer(17, DEGRADED),
    ErrorRecord(
        ValueError("x"), ValueError, "ValueError", ErrorSeverity.ERROR, False, ErrorSource.THREAD, 3, 10.0, 20.0
    ),
    DeadLetter(
        id=17,
        queue="mail",
        operation="send",
        payload={"to": ["ala"]},
        error_type="TimeoutError",
        error_message="silent",
        attempts=3,
        trace_id="1" * 32,
        span_id="2" * 16,
        state=LetterState.DISCARDED,
        stored_at=10.0,
        replays=2,
        available_at=20.0,
        leased_until=30.0,
        replay_error_type="OSError",
    ),
    ReplayReport(1, 2, 3, 4, 5, 6),
    StateChange("closed", "open", "consecutive_failures", 5, 10, 2, 1, 0.5, 3.5, "ConnectionError"),
    AlertSettings(resend_interval=9.0),
    BreakerProfile(fail_max=7, alert="none"),
    LimiterSettings(rate=2.0, burst=3),
    LimiterSettings(strategy="sliding_window_log", limits="4/day", storage=SecretStr("redis://host"), max_waiters=7),
    BudgetSettings(name="shared", ratio=0.1),
    BulkheadSettings(limit=3, queue=7, max_wait=1.5),
    DeadLetterSettings(max_replays=7),
    GuardSettings(retry="none", deadline=2.0),
    RetrySettings(max_attempts=7, jitter="equal", budget=BudgetSettings(enabled=False)),
    TimeoutSettings(seconds=2.0),
    load_profile(),
    StackSettings(data_dir=Path("data"), ports={"jaeger": 17}, free_ports=True),
    ENDPOINTS,
    SERVER,
    StackStatus(Path("data"), True, datetime(2026, 1, 1, tzinfo=UTC), ENDPOINTS, (SERVER,)),
    semconv.POLICY_NAME,
    semconv.BREAKER_CALLS_METRIC,
    semconv.RETRY_EXHAUSTED_EVENT,
    semconv.FALLBACK_SPAN,
    EmittedEvent("spanguard.alert", SeverityNumber.WARN, "an alert", {"alert.name": "A"}, 17, "1" * 32, "2" * 16),
    PROBLEM,
    ValidationResult(False, None, errors=(PROBLEM,)),
    InvalidInputError((PROBLEM,)),
    THREAT,
    StringType(min_length=1, max_length=9, max_bytes=7, pattern="a+", charset="ascii", strip=True, threats="block"),
    IntegerType(minimum=1, maximum=2, strict=True),
    FloatType(allow_nan=True, allow_infinity=True),
    BooleanType(strict=True),
    DatetimeType(minimum=datetime(2026, 1, 1, tzinfo=UTC), to_utc=True),
    ListType(of=IntegerType(maximum=5), min_items=1, unique=True),
    OptionalType(of=FloatType(), blank=True),
    EmailType(quoted=True, domains=[".example.com"], blocked_domains=["mail.example.com"], threats="block"),
    UrlType(schemes=["https"], hosts=[".example.com"], ports=[443], userinfo=True, max_length=99),
    HostLookupError("the host has no address."),
    PinnedUrl("https://example.com/", "example.com", 443, ("93.184.215.14", "2606:2800:21f::1")),
    Finding("xss", "script_tag", 5),
    ContentSanitizer(max_length=1_000, keep_joiners=True),
    ThreatReport(5, (Finding("xss", "script_tag", 5),), was_truncated=True),
    CapturedSpan("guard", "1", "2", "3", "internal", "ok", 1, 2, {"a": 1}, (("1", "2"),), "scope", {"r": 1}),
    CapturedEvent("event", "body", "WARN", "1", "2", 1, {"a": 1}, "scope", {"r": 1}),
    CapturedPoint("metric", "s", "histogram", 2.0, {"a": 1}, "scope", {"r": 1}, 3.0, (0.1, 1.0)),
]


def public_classes() -> Iterator[type]:
    """Every error, dataclass and settings model that a table of contents names, and the errors of `spanguard.errors`."""
    names = [module.name for module in pkgutil.walk_packages(spanguard.__path__, "spanguard.")]
    for name in ["spanguard", *(name for name in names if "._" not in name and not name.endswith("__main__"))]:
        module = importlib.import_module(name)
        listed = vars(errors) if module is errors else getattr(module, "__all__", ())
        for value in (getattr(module, each) for each in listed):
            if inspect.isclass(value) and value.__module__.startswith("spanguard.") and is_data(value):
                yield value


def is_data(kind: type) -> bool:
    return issubclass(kind, BaseException | BaseModel) or dataclasses.is_dataclass(kind) or hasattr(kind, "_fields")


def plain(value: object) -> object:
    """What a value is made of, so that errors, which are equal only to themselves, can be compared."""
    if isinstance(value, BaseException):
        parts = value.exceptions if isinstance(value, BaseExceptionGroup) else value.args
        return type(value), str(value), plain(parts), plain(vars(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return type(value), [plain(getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, list | tuple):
        return type(value), [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return value


def titled(sample: object) -> str:
    return f"{type(sample).__module__.removeprefix('spanguard.')}.{type(sample).__name__}"


def test_every_public_error_and_record_has_a_sample() -> None:
    assert set(public_classes()) - set(NOT_DATA) == {type(sample) for sample in SAMPLES}


@pytest.mark.parametrize("sample", SAMPLES, ids=titled)
@pytest.mark.parametrize("protocol", range(3, pickle.HIGHEST_PROTOCOL + 1))
def test_a_sample_survives_pickling(sample: object, protocol: int) -> None:
    assert plain(pickle.loads(pickle.dumps(sample, protocol))) == plain(sample)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize("sample", SAMPLES, ids=titled)
def test_a_sample_survives_copying(sample: object, copied: Any) -> None:
    assert plain(copied(sample)) == plain(sample)


@pytest.mark.parametrize("sample", [s for s in SAMPLES if isinstance(s, BaseException)], ids=titled)
def test_an_error_keeps_its_notes(sample: BaseException) -> None:
    noted = copy.copy(sample)
    noted.add_note("retry 'api' gave up after 3 attempts")
    assert pickle.loads(pickle.dumps(noted)).__notes__ == noted.__notes__
