"""The dashboard "Rate limiting": who was let through, who waits, and which queues fill up."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.models import dashboard

from grafana.guard_rows import limiters
from grafana.parts import bars, board, explore_traces, legend, lines, link, promql, quantiles, states
from grafana.prometheus_names import label, series
from grafana.queries import POLICY, RESULT, added, of_guards, rate
from grafana.variables import policy, service
from spanguard import semconv

_METRICS: Final = (semconv.LIMITER_REQUESTS_METRIC, semconv.BACKPRESSURE_PUTS_METRIC, semconv.ADAPTIVE_CALLS_METRIC)
_ANY: Final = f'__name__=~"{"|".join(map(series, _METRICS))}"'


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    builder = (
        board("Rate limiting", "Rate limiters, bounded queues and adaptive limits of one service.")
        .links([link("Traces", explore_traces("${service}", ""))])
        .with_variable(service(_ANY))
        .with_variable(policy(_ANY))
    )
    for add in (limiters, _storages, _adaptive_limits, _queues):
        builder = add(builder)
    return builder.build()


def _storages(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    degraded = of_guards(semconv.LIMITER_STORAGE_STATUS_METRIC, f'{label(semconv.LIMITER_STORAGE_STATE)}="degraded"')
    local = of_guards(semconv.LIMITER_REQUESTS_METRIC, f'{RESULT}="fallback"')
    return (
        builder.with_row(dashboard_builders.Row("Shared limits"))
        .with_panel(
            states(
                "Storage",
                "Whether the storage of each shared limit answers; with several instances, whether any goes on alone.",
                promql(f"max by ({POLICY}) ({degraded} > bool 0)", legend(POLICY)),
                {0: ("shared", "green"), 1: ("local share", "red")},
            )
        )
        .with_panel(
            lines(
                "Admitted by the local share",
                "Requests that an instance admitted by itself while the storage did not answer.",
                "reqps",
                promql(f"sum by ({POLICY}) ({rate(local)})", legend(POLICY)),
            )
        )
    )


def _adaptive_limits(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    outcome, sample, kind = map(label, (semconv.ADAPTIVE_OUTCOME, semconv.ADAPTIVE_SAMPLE, semconv.ADAPTIVE_KIND))
    return (
        builder.with_row(dashboard_builders.Row("Adaptive limits"))
        .with_panel(
            lines(
                "Limit and calls at once",
                "Where each limit is, and how many calls run. Why it moved stands in the event.",
                "short",
                promql(f"sum by ({POLICY}) ({of_guards(semconv.ADAPTIVE_LIMIT_METRIC)})", f"{legend(POLICY)} limit"),
                promql(
                    f"sum by ({POLICY}) ({of_guards(semconv.ADAPTIVE_USAGE_METRIC)})",
                    f"{legend(POLICY)} in use",
                    ref="B",
                ),
            )
        )
        .with_panel(
            lines(
                "Latency of a window",
                "The mean of the last window, and what it is held against; with several instances, the greatest.",
                "s",
                promql(
                    f"max by ({POLICY}, {kind}) ({of_guards(semconv.ADAPTIVE_LATENCY_METRIC)})", legend(POLICY, kind)
                ),
            )
        )
        .with_panel(
            lines(
                "Calls by outcome",
                "Calls that reached an adaptive limiter.",
                "cps",
                promql(
                    f"sum by ({POLICY}, {outcome}) ({rate(of_guards(semconv.ADAPTIVE_CALLS_METRIC))})",
                    legend(POLICY, outcome),
                ),
                stacked=True,
            )
        )
        .with_panel(
            lines(
                "What was learned",
                "Calls that ended: those that were measured, those that were dropped, and those that say nothing.",
                "cps",
                promql(
                    f"sum by ({POLICY}, {sample}) ({rate(of_guards(semconv.ADAPTIVE_SAMPLES_METRIC))})",
                    legend(POLICY, sample),
                ),
                stacked=True,
            )
        )
        .with_panel(
            lines(
                "Time before an adaptive limit",
                "How long calls that had to wait did wait.",
                "s",
                *quantiles(added(of_guards(semconv.ADAPTIVE_TIME_IN_QUEUE_METRIC)), POLICY),
            )
        )
        .with_panel(
            lines(
                "Waiting calls",
                "Calls that wait for a permit now.",
                "short",
                promql(f"sum by ({POLICY}) ({of_guards(semconv.ADAPTIVE_QUEUED_METRIC)})", legend(POLICY)),
            )
        )
    )


def _queues(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    outcome, reason = label(semconv.BACKPRESSURE_OUTCOME), label(semconv.BACKPRESSURE_SHED_REASON)
    return (
        builder.with_row(dashboard_builders.Row("Bounded queues"))
        .with_panel(
            states(
                "Pressure",
                "Whether a queue is under pressure; with several instances, whether any is.",
                promql(f"max by ({POLICY}) ({of_guards(semconv.BACKPRESSURE_STATUS_METRIC)} > bool 0)", legend(POLICY)),
                {0: ("relieved", "green"), 1: ("under pressure", "red")},
            )
        )
        .with_panel(
            lines(
                "Depth",
                "Items in each queue, and those that it can hold.",
                "short",
                promql(f"sum by ({POLICY}) ({of_guards(semconv.BACKPRESSURE_DEPTH_METRIC)})", legend(POLICY)),
                promql(
                    f"sum by ({POLICY}) ({of_guards(semconv.BACKPRESSURE_LIMIT_METRIC)})",
                    f"{legend(POLICY)} limit",
                    ref="B",
                ),
            )
        )
        .with_panel(
            lines(
                "Age of the oldest item",
                "How long the item whose turn is next has been in the queue.",
                "s",
                promql(f"max by ({POLICY}) ({of_guards(semconv.BACKPRESSURE_OLDEST_METRIC)})", legend(POLICY)),
            )
        )
        .with_panel(
            lines(
                "Items by outcome",
                "Items that were offered, by what the queue made of them.",
                "cps",
                promql(
                    f"sum by ({POLICY}, {outcome}) ({rate(of_guards(semconv.BACKPRESSURE_PUTS_METRIC))})",
                    legend(POLICY, outcome),
                ),
                stacked=True,
            )
        )
        .with_panel(
            lines(
                "Items taken",
                "Items that consumers took.",
                "cps",
                promql(f"sum by ({POLICY}) ({rate(of_guards(semconv.BACKPRESSURE_GETS_METRIC))})", legend(POLICY)),
            )
        )
        .with_panel(
            bars(
                "Items shed",
                "Items that were dropped so that others can be served, in each interval.",
                "short",
                promql(
                    f"sum by ({POLICY}, {reason}) ({added(of_guards(semconv.BACKPRESSURE_SHED_METRIC))})",
                    legend(POLICY, reason),
                ),
            )
        )
    )
