"""The dashboard "Guards": what every breaker and limiter of a service decided, and the way to the traces behind it."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.models import dashboard

from grafana.parts import (
    JAEGER,
    PROMETHEUS,
    Query,
    bars,
    explore_traces,
    lines,
    link,
    log_lines,
    number,
    promql,
    rows,
    states,
)
from grafana.prometheus_names import label, series
from grafana.queries import (
    ANY_GUARD,
    ERROR,
    GUARD_SPANS,
    ITEMS,
    OUTCOME,
    POLICY,
    REFUSED,
    RESULT,
    SERVICE,
    STATE,
    added,
    failed,
    of_guards,
    per_exporter,
    rate,
    share,
)
from spanguard import semconv


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    builder = (
        dashboard_builders.Dashboard("Guards")
        .uid("spanguard-guards")
        .description(
            "Circuit breakers and rate limiters of one service: decisions, causes, and the traces behind them."
        )
        .tags(["spanguard"])
        .time("now-30m", "now")
        .refresh("10s")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .links(
            [
                link("Alerts", "/alerting/groups?alertmanager=Alertmanager", "Alertmanager: what fires, grouped"),
                link("Silences", "/alerting/silences?alertmanager=Alertmanager", "Alertmanager: what is silenced"),
                link("Traces", explore_traces("${service}", "")),
            ]
        )
        .with_variable(_service())
        .with_variable(_policy())
    )
    for add in (_now, _breakers, _limiters, _guarded_calls, _alerts, _events, _pipeline):
        builder = add(builder)
    return builder.build()


def _service() -> dashboard_builders.QueryVariable:
    # One service at a time: a trace search knows no "all".
    return (
        dashboard_builders.QueryVariable("service")
        .label("Service")
        .datasource(PROMETHEUS)
        .query(
            {
                "qryType": 1,
                "query": f"label_values({{{ANY_GUARD}}}, service_name)",
                "refId": "service",
            }
        )
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(False)
        .include_all(False)
    )


def _policy() -> dashboard_builders.QueryVariable:
    query = f"label_values({{{ANY_GUARD}, {SERVICE}}}, {POLICY})"
    return (
        dashboard_builders.QueryVariable("policy")
        .label("Policy")
        .datasource(PROMETHEUS)
        .query({"qryType": 1, "query": query, "refId": "policy"})
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(dashboard.VariableOption(text=["All"], value=["$__all"], selected=True))
    )


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


def _breakers(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    traces = link(
        f"Traces of ${{__field.labels.{POLICY}}}",
        explore_traces("${service}", f"{semconv.GUARD_SPAN.name} ${{__field.labels.{POLICY}}}"),
    )
    # The worst state of all instances: 2 where one is open, 1 where one is half open.
    open_, half_open, closed = (
        of_guards(semconv.BREAKER_STATUS_METRIC, f'{STATE}="{state}"') for state in ("open", "half_open", "closed")
    )
    worst = f"max by ({POLICY}) (2 * ({open_} > bool 0) or ({half_open} > bool 0) or 0 * {closed})"
    errors = added(of_guards(semconv.BREAKER_CALLS_METRIC, f'{ERROR}!=""'))
    transitions = added(of_guards(semconv.BREAKER_TRANSITIONS_METRIC))
    origin, target = label(semconv.BREAKER_FROM), label(semconv.BREAKER_TO)
    return (
        builder.with_row(dashboard_builders.Row("Circuit breakers"))
        .with_panel(
            states(
                "State",
                "The state of each breaker; with several instances, the worst.",
                promql(worst, _legend(POLICY)),
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
                    _legend(POLICY, OUTCOME),
                ),
                stacked=True,
            ).data_links([traces])
        )
        .with_panel(
            bars(
                "Errors by type",
                "Calls that ended in an error, by its class, in each interval.",
                "short",
                promql(f"sum by ({POLICY}, {ERROR}) ({errors})", _legend(POLICY, ERROR)),
            ).data_links([traces])
        )
        .with_panel(
            bars(
                "Transitions",
                "State changes in each interval. Why a breaker moved stands in the event, below.",
                "short",
                promql(
                    f"sum by ({POLICY}, {origin}, {target}) ({transitions})",
                    f"{_legend(POLICY, origin)} → {_legend(target)}",
                ),
            )
        )
        .with_panel(
            lines(
                "Rejection rate",
                "Share of each breaker's calls that never ran.",
                "percentunit",
                promql(share(semconv.BREAKER_CALLS_METRIC, f'{OUTCOME}="rejected"', by=POLICY), _legend(POLICY)),
            )
        )
    )


def _limiters(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    return (
        builder.with_row(dashboard_builders.Row("Rate limiters"))
        .with_panel(
            lines(
                "Requests by result",
                "Requests for a permit. `timed_out` waited in vain.",
                "reqps",
                promql(
                    f"sum by ({POLICY}, {RESULT}) ({rate(of_guards(semconv.LIMITER_REQUESTS_METRIC))})",
                    _legend(POLICY, RESULT),
                ),
                stacked=True,
            )
        )
        .with_panel(
            lines(
                "Block rate",
                "Share of each limiter's requests that got no permit.",
                "percentunit",
                promql(share(semconv.LIMITER_REQUESTS_METRIC, REFUSED, by=POLICY), _legend(POLICY)),
            )
        )
        .with_panel(
            lines(
                "Time in queue",
                "How long those that had to wait did wait. Each dot is one request: click it for its trace.",
                "s",
                *_quantiles(of_guards(semconv.LIMITER_TIME_IN_QUEUE_METRIC)),
            )
        )
        .with_panel(
            lines(
                "Permits available",
                "What a request without a key could take now; with several instances, the fewest.",
                "short",
                promql(f"min by ({POLICY}) ({of_guards(semconv.LIMITER_AVAILABLE_METRIC)})", _legend(POLICY)),
                width=6,
            )
        )
        .with_panel(
            lines(
                "Queued",
                "Requests that wait for a permit now.",
                "short",
                promql(f"sum by ({POLICY}) ({of_guards(semconv.LIMITER_QUEUED_METRIC)})", _legend(POLICY)),
                width=6,
            )
        )
    )


def _guarded_calls(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    return (
        builder.with_row(dashboard_builders.Row("Guarded calls"))
        .with_panel(
            lines(
                "Duration",
                "Guarded calls from end to end, waits included, made of their spans. Each dot leads to a trace.",
                "s",
                *_quantiles(GUARD_SPANS),
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


def _alerts(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    name, severity = label(semconv.ALERT_NAME), label(semconv.ALERT_SEVERITY)
    active = f"{series(semconv.ALERT_ACTIVE_METRIC)}{{{SERVICE}}}"
    in_alertmanager = link(
        "In Alertmanager",
        "/alerting/groups?alertmanager=Alertmanager&queryString=alertname%3D${__data.fields.alertname}",
    )
    return (
        builder.with_row(dashboard_builders.Row("Alerts"))
        .with_panel(
            rows(
                "Firing alerts of the rules",
                "What Prometheus's rules raised, of every service. The watchdog always fires: it shows that they run.",
                promql('ALERTS{alertstate="firing"}', instant=True),
                PROMETHEUS,
                hidden=("Time", "Value", "__name__", "alertstate"),
            ).data_links([in_alertmanager])
        )
        .with_panel(
            states(
                "Application alerts",
                "Alerts that the application itself raised, while they stood.",
                promql(f"max by ({name}, {severity}) ({active})", f"{_legend(name)} ({_legend(severity)})"),
                {0: ("resolved", "green"), 1: ("firing", "red")},
                width=12,
                height=8,
            )
        )
    )


def _events(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    prefix = f"{semconv.SCHEMA_SCOPE}.*"
    return builder.with_row(dashboard_builders.Row("Events")).with_panel(
        log_lines(
            "Latest events",
            "Why it was decided so: transitions, rejections, alerts. The field trace_id leads to the trace.",
            f'event_name:~"{prefix}" "service.name":="$service"',
        )
    )


def _pipeline(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    any_guard = f"{{{ANY_GUARD}, {SERVICE}}}"
    failures = f"{series(semconv.TELEMETRY_ERRORS_METRIC)}{{{SERVICE}}}"
    return (
        builder.with_row(dashboard_builders.Row("Telemetry pipeline"))
        .with_panel(
            lines(
                "Sent by the collector",
                "Items that each exporter of the collector delivered, of every service.",
                "cps",
                *(promql(per_exporter(f"sent_{items}"), _items_legend(items), ref=ref) for ref, items in ITEMS.items()),
                width=8,
            )
        )
        .with_panel(
            lines(
                "Not sent by the collector",
                "Items that failed at the other end or found the queue full.",
                "cps",
                *(promql(failed(items), _items_legend(items), ref=ref) for ref, items in ITEMS.items()),
                width=8,
            )
        )
        .with_panel(
            lines(
                "Collector queues",
                "How full the queue of each exporter is. Full: the senders wait, and then see an error.",
                "percentunit",
                promql(
                    "max by (exporter, data_type) (otelcol_exporter_queue_size / otelcol_exporter_queue_capacity)",
                    "{{exporter}} {{data_type}}",
                ),
                width=8,
            )
        )
        .with_panel(
            number(
                "Age of the newest sample",
                "How long ago the service's guards last reported. It grows when the application or the pipeline is silent.",
                "s",
                promql(f"time() - max(timestamp({any_guard}))"),
                red_from=120,
                width=8,
            )
        )
        .with_panel(
            number(
                "Failures inside spanguard",
                "Failures that were kept away from guarded calls, in the interval: listeners, sinks, telemetry itself.",
                "short",
                promql(f"sum({added(failures)}) or 0 * max({any_guard})"),
                red_from=1,
                width=8,
            )
        )
    )


def _quantiles(selector: str) -> list[prometheus.Dataquery]:
    buckets = f"sum by (le, {POLICY}) ({rate(selector)})"
    return [
        promql(
            f"histogram_quantile({quantile}, {buckets})",
            f"{_legend(POLICY)} {name}",
            ref=ref,
            exemplars=ref == "A",
        )
        for ref, quantile, name in (("A", 0.5, "p50"), ("B", 0.95, "p95"), ("C", 0.99, "p99"))
    ]


def _legend(*labels: str) -> str:
    return " ".join(f"{{{{{name}}}}}" for name in labels)


def _items_legend(items: str) -> str:
    return f"{{{{exporter}}}} {items.replace('_', ' ')}"
