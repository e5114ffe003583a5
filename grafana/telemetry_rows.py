"""What came of the signals: the rows of alerts, events and the pipeline that brings them."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as dashboard_builders

from grafana.parts import PROMETHEUS, legend, lines, link, log_lines, number, promql, rows, states
from grafana.prometheus_names import label, series
from grafana.queries import ANY_GUARD, ITEMS, SERVICE, added, failed, per_exporter
from spanguard import semconv


def alerts(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    """Add what fires, of the rules and of the application."""
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
                promql(f"max by ({name}, {severity}) ({active})", f"{legend(name)} ({legend(severity)})"),
                {0: ("resolved", "green"), 1: ("firing", "red")},
                width=12,
                height=8,
            )
        )
    )


def events(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    """Add the events that tell why."""
    prefix = f"{semconv.SCHEMA_SCOPE}.*"
    return builder.with_row(dashboard_builders.Row("Events")).with_panel(
        log_lines(
            "Latest events",
            "Why it was decided so: transitions, rejections, alerts. The field trace_id leads to the trace.",
            f'event_name:~"{prefix}" "service.name":="$service"',
        )
    )


def pipeline(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    """Add the way that all of this took: the collector, and spanguard's own failures."""
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


def _items_legend(items: str) -> str:
    return f"{{{{exporter}}}} {items.replace('_', ' ')}"
