"""Guard spans: one for the pipeline, only where something records, never failed by a recovered error."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from spanguard import semconv
from spanguard.telemetry.spans import GuardSpan, add_child, annotate, initial_attributes, root_of, start_guard_span
from spanguard.testing import Signals


def operation() -> None:
    """What is guarded."""


def start(policy: str = "api", guarded: object = operation) -> GuardSpan:
    span = start_guard_span(policy, guarded)
    assert span is not None
    return span


def test_a_guard_span_is_internal_and_carries_policy_and_outcome(signals: Signals) -> None:
    with start() as span:
        pass
    span.end("success")
    (captured,) = signals.spans()
    assert (captured.name, captured.kind, captured.status) == ("guard api", "internal", "unset")
    assert captured.attributes == {semconv.POLICY_NAME.key: "api", semconv.OUTCOME.key: "success"}


def test_a_failed_span_does_not_keep_the_outcome_it_began_with(signals: Signals) -> None:
    start().end("failure", ValueError())
    assert signals.spans()[0].attributes[semconv.OUTCOME.key] == "failure"


def test_an_inner_policy_adds_what_it_knows_to_the_shared_span(signals: Signals) -> None:
    known = initial_attributes("inner", {semconv.BREAKER_STATE: "closed"})
    with start("outer") as outer:
        inner = start_guard_span("inner", operation, known)
        assert inner is not None
    outer.end("success")
    assert signals.spans()[0].attributes == {
        semconv.POLICY_NAME.key: "outer",
        semconv.OUTCOME.key: "success",
        semconv.BREAKER_STATE.key: "closed",
    }


def test_what_runs_inside_becomes_a_child(signals: Signals) -> None:
    with start() as span, trace.get_tracer("test").start_as_current_span("inner"):
        pass
    span.end("success")
    inner, guard = signals.spans()
    assert (inner.parent_id, guard.parent_id) == (guard.span_id, "")


def test_after_the_block_the_former_span_is_current_again(signals: Signals) -> None:
    with trace.get_tracer("test").start_as_current_span("outer") as outer:
        with start() as span:
            assert trace.get_current_span() is span.span
        assert trace.get_current_span() is outer
        span.end("success")


def test_an_error_marks_the_span_with_its_type_and_not_its_message(signals: Signals) -> None:
    start().end("failure", ValueError("the customer's secret"))
    (captured,) = signals.spans()
    assert (captured.status, captured.attributes[semconv.ERROR_TYPE.key]) == ("error", "ValueError")
    assert "secret" not in repr(captured)


def test_policies_stacked_on_one_operation_share_the_outermost_span(signals: Signals) -> None:
    with start("outer") as outer:
        with start("inner") as inner:
            inner.set(semconv.BREAKER_STATE, "closed")
        inner.end("failure", ValueError())
    outer.end("success")
    (captured,) = signals.spans()
    assert captured.name == "guard outer"
    assert captured.attributes[semconv.BREAKER_STATE.key] == "closed"
    assert captured.status == "unset"


def test_a_guarded_call_inside_another_operation_has_its_own_span(signals: Signals) -> None:
    with start("outer", operation) as outer:
        with start("inner", print) as inner:
            pass
        inner.end("success")
    outer.end("success")
    assert [span.name for span in signals.spans()] == ["guard inner", "guard outer"]


def test_the_same_operation_below_a_span_of_its_own_has_its_own_guard_span(signals: Signals) -> None:
    with start() as outer, trace.get_tracer("test").start_as_current_span("recursion"):
        with start() as inner:
            pass
        inner.end("success")
    outer.end("success")
    assert [span.name for span in signals.spans()] == ["guard api", "recursion", "guard api"]


def test_under_an_unsampled_parent_there_is_no_span(signals: Signals) -> None:
    unsampled = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("test").start_span("parent")
    with trace.use_span(unsampled):
        assert start_guard_span("api", operation) is None


def test_a_child_is_never_a_root(signals: Signals) -> None:
    add_child(semconv.WAIT_SPAN, "api", {}, start_time=1)
    assert signals.spans() == []


def test_a_child_has_the_time_it_is_given(signals: Signals) -> None:
    with trace.get_tracer("test").start_as_current_span("outer"):
        add_child(semconv.WAIT_SPAN, "api", {}, start_time=10, end_time=30)
    child, outer = signals.spans()
    assert (child.name, child.parent_id, child.start, child.end) == ("wait api", outer.span_id, 10, 30)


def test_an_annotation_leaves_the_name_of_the_guard_around_it(signals: Signals) -> None:
    with start("outer") as span:
        annotate({semconv.POLICY_NAME.key: "limiter", semconv.LIMITER_RESULT.key: "rejected"})
    span.end("success")
    assert signals.spans()[0].attributes == {
        semconv.POLICY_NAME.key: "outer",
        semconv.OUTCOME.key: "success",
        semconv.LIMITER_RESULT.key: "rejected",
    }


def test_an_annotation_of_an_applications_span_says_which_guard_it_was(signals: Signals) -> None:
    with trace.get_tracer("test").start_as_current_span("work"):
        annotate({semconv.POLICY_NAME.key: "limiter"})
    assert signals.spans()[0].attributes == {semconv.POLICY_NAME.key: "limiter"}


def test_the_root_of_a_decorated_function_is_what_was_decorated() -> None:
    def wrapper() -> None:
        """Stand for a decorator's inner function."""

    wrapper.__wrapped__ = operation  # type: ignore[attr-defined]
    assert root_of(wrapper) is operation
