"""The dashboard "Guards": what every breaker and limiter of a service decided, and the way to the traces behind it."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.models import dashboard

from grafana.guard_rows import breakers, guarded_calls, limiters
from grafana.parts import board, explore_traces, link, number, promql
from grafana.queries import ANY_GUARD, OUTCOME, POLICY, REFUSED, STATE, of_guards, rate, share
from grafana.telemetry_rows import alerts, events, pipeline
from grafana.variables import policy, service
from spanguard import semconv


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    builder = (
        board(
            "Guards",
            "Circuit breakers and rate limiters of one service: decisions, causes, and the traces behind them.",
        )
        .links(
            [
                link("Alerts", "/alerting/groups?alertmanager=Alertmanager", "Alertmanager: what fires, grouped"),
                link("Silences", "/alerting/silences?alertmanager=Alertmanager", "Alertmanager: what is silenced"),
                link("Traces", explore_traces("${service}", "")),
            ]
        )
        .with_variable(service(ANY_GUARD))
        .with_variable(policy(ANY_GUARD))
    )
    for add in (_now, breakers, limiters, guarded_calls, alerts, events, pipeline):
        builder = add(builder)
    return builder.build()


def _now(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    not_closed = of_guards(semconv.BREAKER_STATUS_METRIC, f'{STATE}!="closed"')
    return (
        builder.with_row(dashboard_builders.Row("Now"))
        .with_panel(
            number(
                "Breakers not closed",
                "Policies with a breaker that is open or half open in at least one instance.",
                "short",
                promql(f"sum(max by ({POLICY}) ({not_closed} > bool 0))"),
                red_from=1,
            )
        )
        .with_panel(
            number(
                "Calls",
                "Calls that reached a breaker, whatever became of them.",
                "cps",
                promql(f"sum({rate(of_guards(semconv.BREAKER_CALLS_METRIC))})"),
            )
        )
        .with_panel(
            number(
                "Failed",
                "Of the calls that ran and count, the share that failed.",
                "percentunit",
                promql(
                    share(semconv.BREAKER_CALLS_METRIC, f'{OUTCOME}="failure"', f'{OUTCOME}=~"success|slow|failure"')
                ),
                red_from=0.05,
            )
        )
        .with_panel(
            number(
                "Rejected by breakers",
                "Share of the calls that an open breaker refused.",
                "percentunit",
                promql(share(semconv.BREAKER_CALLS_METRIC, f'{OUTCOME}="rejected"')),
                red_from=0.01,
            )
        )
        .with_panel(
            number(
                "Blocked by limiters",
                "Share of the requests that got no permit, at once or after waiting.",
                "percentunit",
                promql(share(semconv.LIMITER_REQUESTS_METRIC, REFUSED)),
                red_from=0.2,
            )
        )
        .with_panel(
            number(
                "Firing alerts",
                "Alerts of the rules that fire now, without the watchdog. No number: the rules are not evaluated.",
                "short",
                promql(
                    'count(ALERTS{alertstate="firing", alertname!="Watchdog"}) '
                    'or 0 * count(ALERTS{alertstate="firing", alertname="Watchdog"})'
                ),
                red_from=1,
            )
        )
    )
