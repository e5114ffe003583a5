"""What the guards of a service decided: the rows of breakers, limiters and guarded calls."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as dashboard_builders

from grafana.parts import JAEGER, Query, bars, explore_traces, legend, lines, link, promql, quantiles, rows, states
from grafana.prometheus_names import label
from grafana.queries import ERROR, GUARD_SPANS, OUTCOME, POLICY, REFUSED, RESULT, STATE, added, of_guards, rate, share
from spanguard import semconv


def traces_of_policy() -> dashboard_builders.DashboardLink:
    """Return the link from a series of a policy to the traces of its guarded calls."""
    policy = f"${{__field.labels.{POLICY}}}"
    return link(f"Traces of {policy}", explore_traces("${service}", f"{semconv.GUARD_SPAN.name} {policy}"))


def breakers(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    """Add what the breakers decided, and why."""
    traces = traces_of_policy()
    # The worst state of all instances: 2 where one is open, 1 where one is half open.
    open_, half_open, closed = (
        of_guards(semconv.BREAKER_STATUS_METRIC, f'{STATE}="{state}"') for state in ("open", "half_open", "closed")
    )
    worst = f"max by ({POLICY}) (2 * ({open_} > bool 0) or ({half_open} > bool 0) or 0 * {closed})"
    errors = added(of_guards(semconv.BREAKER_CALLS_METRIC, f'{ERROR}!=""'))
    transitions = added(of_guards(semconv.BREAKER_TRANSITIONS_METRIC))
    degraded = of_guards(semconv.BREAKER_STORAGE_STATUS_METRIC, f'{label(semconv.BREAKER_STORAGE_STATE)}="degraded"')
    origin, target = label(semconv.BREAKER_FROM), label(semconv.BREAKER_TO)
    return (
        builder.with_row(dashboard_builders.Row("Circuit breakers"))
        .with_panel(
            states(
                "State",
                "The state of each breaker; with several instances, the worst.",
                promql(worst, legend(POLICY)),
                {0: ("closed", "green"), 1: ("half open", "yellow"), 2: ("open", "red")},
            ).data_links([traces])
        )
        .with_panel(
            lines(
                "Calls by outcome",
                "What the breakers made of the calls that reached them.",
                "cps",
                promql(
                    f"sum by ({POLICY}, {OUTCOME}) ({rate(of_guards(semconv.BREAKER_CALLS_METRIC))})",
                    legend(POLICY, OUTCOME),
                ),
                stacked=True,
            ).data_links([traces])
        )
        .with_panel(
            bars(
                "Errors by type",
                "Calls that ended in an error, by its class, in each interval.",
                "short",
                promql(f"sum by ({POLICY}, {ERROR}) ({errors})", legend(POLICY, ERROR)),
            ).data_links([traces])
        )
        .with_panel(
            bars(
                "Transitions",
                "State changes in each interval. Why a breaker moved stands in the event, below.",
                "short",
                promql(
                    f"sum by ({POLICY}, {origin}, {target}) ({transitions})",
                    f"{legend(POLICY, origin)} → {legend(target)}",
                ),
            )
        )
        .with_panel(
            lines(
                "Rejection rate",
                "Share of each breaker's calls that never ran.",
                "percentunit",
                promql(share(semconv.BREAKER_CALLS_METRIC, f'{OUTCOME}="rejected"', by=POLICY), legend(POLICY)),
            )
        )
        .with_panel(
            states(
                "Shared state",
                "Whether breakers that processes share reach their storage; while they do not, each goes on by itself.",
                promql(f"max by ({POLICY}) ({degraded} > bool 0)", legend(POLICY)),
                {0: ("available", "green"), 1: ("degraded", "orange")},
            )
        )
    )


def limiters(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    """Add what the limiters decided, and who waits."""
    return (
        builder.with_row(dashboard_builders.Row("Rate limiters"))
        .with_panel(
            lines(
                "Requests by result",
                "Requests for a permit. `timed_out` waited in vain.",
                "reqps",
                promql(
                    f"sum by ({POLICY}, {RESULT}) ({rate(of_guards(semconv.LIMITER_REQUESTS_METRIC))})",
                    legend(POLICY, RESULT),
                ),
                stacked=True,
            )
        )
        .with_panel(
            lines(
                "Block rate",
                "Share of each limiter's requests that got no permit.",
                "percentunit",
                promql(share(semconv.LIMITER_REQUESTS_METRIC, REFUSED, by=POLICY), legend(POLICY)),
            )
        )
        .with_panel(
            lines(
                "Time in queue",
                "How long those that had to wait did wait. Each dot is one request: click it for its trace.",
                "s",
                *quantiles(rate(of_guards(semconv.LIMITER_TIME_IN_QUEUE_METRIC)), POLICY),
            )
        )
        .with_panel(
            lines(
                "Permits available",
                "What a request without a key could take now; with several instances, the fewest.",
                "short",
                promql(f"min by ({POLICY}) ({of_guards(semconv.LIMITER_AVAILABLE_METRIC)})", legend(POLICY)),
                width=6,
            )
        )
        .with_panel(
            lines(
                "Queued",
                "Requests that wait for a permit now.",
                "short",
                promql(f"sum by ({POLICY}) ({of_guards(semconv.LIMITER_QUEUED_METRIC)})", legend(POLICY)),
                width=6,
            )
        )
    )


def guarded_calls(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    """Add the guarded calls as their callers see them."""
    return (
        builder.with_row(dashboard_builders.Row("Guarded calls"))
        .with_panel(
            lines(
                "Duration",
                "Guarded calls from end to end, waits included, made of their spans. Each dot leads to a trace.",
                "s",
                *quantiles(rate(GUARD_SPANS), POLICY),
            )
        )
        .with_panel(
            rows(
                "Traces with an error",
                "The latest traces of the service in which a span failed.",
                Query(JAEGER, queryType="search", service="$service", tags="error=true", limit=20),
                JAEGER,
            )
        )
    )
