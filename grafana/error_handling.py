"""The dashboard "Error handling": what retries, timeouts, bulkheads, fallbacks and dead letters of a service decided."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.models import dashboard

from grafana.guard_rows import traces_of_policy
from grafana.parts import bars, board, explore_traces, legend, lines, link, log_lines, promql, quantiles
from grafana.prometheus_names import label, series
from grafana.queries import ERROR, POLICY, SERVICE, added, of_guards, rate, share
from grafana.variables import policy, service
from spanguard import semconv

_ANY: Final = f'__name__=~"{series(semconv.RETRY_CALLS_METRIC)}|{series(semconv.BULKHEAD_CALLS_METRIC)}"'
_QUEUE: Final = label(semconv.DEAD_LETTER_QUEUE)
_REASON: Final = label(semconv.RETRY_REASON)
_HANDLED: Final = label(semconv.ERROR_HANDLED)


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    builder = (
        board(
            "Error handling", "Retries, timeouts, bulkheads, degraded answers, dead letters and errors of one service."
        )
        .links([link("Traces", explore_traces("${service}", ""))])
        .with_variable(service(_ANY))
        .with_variable(policy(_ANY))
    )
    for add in (_retries, _bulkheads, _answers, _dead_letters, _events):
        builder = add(builder)
    return builder.build()


def _retries(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    given_up = of_guards(semconv.RETRY_CALLS_METRIC, f'{_REASON}!=""')
    return (
        builder.with_row(dashboard_builders.Row("Retries"))
        .with_panel(
            _by_outcome(
                "Calls by outcome",
                "Calls under a retry, by how they ended.",
                semconv.RETRY_CALLS_METRIC,
                semconv.RETRY_OUTCOME,
            )
        )
        .with_panel(
            bars(
                "Given up",
                "Calls that failed for good, by why they were not tried again, in each interval. `budget`: retries had become too many.",
                "short",
                promql(f"sum by ({POLICY}, {_REASON}) ({added(given_up)})", legend(POLICY, _REASON)),
            ).data_links([traces_of_policy()])
        )
        .with_panel(
            lines(
                "Attempts",
                "Attempts of the calls that needed more than one, or failed.",
                "short",
                *quantiles(added(of_guards(semconv.RETRY_ATTEMPTS_METRIC)), POLICY),
            )
        )
        .with_panel(
            lines(
                "Backoff",
                "How long was waited between two attempts.",
                "s",
                *quantiles(added(of_guards(semconv.RETRY_BACKOFF_METRIC)), POLICY),
            )
        )
        .with_panel(
            lines(
                "Budget in use",
                "Share of the retry budget that is spent; at 100 % no call is retried.",
                "percentunit",
                promql(f"max by ({POLICY}) ({of_guards(semconv.RETRY_BUDGET_METRIC)})", legend(POLICY)),
            )
        )
    )


def _bulkheads(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    refused = f'{label(semconv.BULKHEAD_OUTCOME)}=~"rejected|timed_out"'
    return (
        builder.with_row(dashboard_builders.Row("Bulkheads and timeouts"))
        .with_panel(
            _by_outcome(
                "Bulkhead calls",
                "Calls that reached a bulkhead.",
                semconv.BULKHEAD_CALLS_METRIC,
                semconv.BULKHEAD_OUTCOME,
            )
        )
        .with_panel(
            lines(
                "Turned away",
                "Share of each bulkhead's calls that got no permit.",
                "percentunit",
                promql(share(semconv.BULKHEAD_CALLS_METRIC, refused, by=POLICY), legend(POLICY)),
            ).data_links([traces_of_policy()])
        )
        .with_panel(
            lines(
                "Permits",
                "Permits in use, and those there are.",
                "short",
                promql(f"sum by ({POLICY}) ({of_guards(semconv.BULKHEAD_USAGE_METRIC)})", f"{legend(POLICY)} in use"),
                promql(
                    f"sum by ({POLICY}) ({of_guards(semconv.BULKHEAD_LIMIT_METRIC)})",
                    f"{legend(POLICY)} limit",
                    ref="B",
                ),
            )
        )
        .with_panel(
            lines(
                "Bulkhead queue",
                "Calls that wait for a permit now.",
                "short",
                promql(f"sum by ({POLICY}) ({of_guards(semconv.BULKHEAD_QUEUED_METRIC)})", legend(POLICY)),
            )
        )
        .with_panel(
            lines(
                "Time in the bulkhead's queue",
                "How long those that had to wait did wait.",
                "s",
                *quantiles(added(of_guards(semconv.BULKHEAD_TIME_IN_QUEUE_METRIC)), POLICY),
            )
        )
        .with_panel(
            _by_outcome(
                "Calls under a timeout",
                "How they ended; `late` is a thread that went on.",
                semconv.TIMEOUT_CALLS_METRIC,
                semconv.TIMEOUT_OUTCOME,
            )
        )
    )


def _answers(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    degraded = f'{label(semconv.DEGRADATION_SOURCE)}!="primary"'
    errors = f"{series(semconv.ERRORS_METRIC)}{{{SERVICE}}}"
    return (
        builder.with_row(dashboard_builders.Row("Degraded answers and errors"))
        .with_panel(
            _by_outcome(
                "Answers by source",
                "Calls under a fallback, by where their answer came from. `none`: nobody had one.",
                semconv.DEGRADATION_ANSWERS_METRIC,
                semconv.DEGRADATION_SOURCE,
            )
        )
        .with_panel(
            lines(
                "Degraded answers",
                "Share of the calls that their own function did not answer.",
                "percentunit",
                promql(share(semconv.DEGRADATION_ANSWERS_METRIC, degraded, by=POLICY), legend(POLICY)),
            ).data_links([traces_of_policy()])
        )
        .with_panel(
            bars(
                "Errors by type",
                "What the error handler heard of, in each interval.",
                "short",
                promql(f"sum by ({ERROR}, {_HANDLED}) ({added(errors)})", legend(ERROR, _HANDLED)),
                width=24,
            )
        )
    )


def _dead_letters(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    outcome = label(semconv.DEAD_LETTER_OUTCOME)
    queue = f"${{__field.labels.{_QUEUE}}}"
    replays = link(f"Replays of {queue}", explore_traces("${service}", f"{semconv.REPLAY_SPAN.name} {queue}"))
    messages, size, age = (
        f"{series(metric)}{{{SERVICE}}}"
        for metric in (
            semconv.DEAD_LETTER_MESSAGES_METRIC,
            semconv.DEAD_LETTER_SIZE_METRIC,
            semconv.DEAD_LETTER_OLDEST_METRIC,
        )
    )
    return (
        builder.with_row(dashboard_builders.Row("Dead letters"))
        .with_panel(
            bars(
                "Letters",
                "What became of letters, in each interval.",
                "short",
                promql(f"sum by ({_QUEUE}, {outcome}) ({added(messages)})", legend(_QUEUE, outcome)),
            ).data_links([replays])
        )
        .with_panel(
            lines(
                "Waiting letters",
                "Letters in the queue.",
                "short",
                promql(f"max by ({_QUEUE}) ({size})", legend(_QUEUE)),
                width=6,
            )
        )
        .with_panel(
            lines(
                "Oldest letter",
                "Age of the oldest.",
                "s",
                promql(f"max by ({_QUEUE}) ({age})", legend(_QUEUE)),
                width=6,
            )
        )
    )


def _events(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    told = (
        semconv.RETRY_EXHAUSTED_EVENT,
        semconv.TIMEOUT_EXCEEDED_EVENT,
        semconv.BULKHEAD_REJECTED_EVENT,
        semconv.DEGRADATION_EVENT,
        semconv.DEAD_LETTER_STORED_EVENT,
        semconv.DEAD_LETTER_REPLAYED_EVENT,
        semconv.ERROR_EVENT,
    )
    names = ", ".join(f'"{event.name}"' for event in told)
    return builder.with_row(dashboard_builders.Row("Events")).with_panel(
        log_lines(
            "Latest events",
            "What was given up, turned away, answered otherwise or kept, and why. The field trace_id leads to the trace.",
            f'event_name:in({names}) "service.name":="$service"',
        )
    )


def _by_outcome(title: str, description: str, metric: semconv.Metric, outcome: semconv.Attribute) -> timeseries.Panel:
    return lines(
        title,
        description,
        "cps",
        promql(f"sum by ({POLICY}, {label(outcome)}) ({rate(of_guards(metric))})", legend(POLICY, label(outcome))),
        stacked=True,
    )
