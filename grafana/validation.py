"""The dashboard "Validation": what comes in from outside, what of it is refused, and what looks like an attack."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.models import dashboard

from grafana.parts import bars, board, explore_traces, legend, lines, link, log_lines, number, promql
from grafana.prometheus_names import label, series
from grafana.queries import ERROR, SERVICE, added, rate
from grafana.variables import service
from spanguard import semconv

_ANY: Final = f'__name__=~"{"|".join(map(series, (semconv.VALIDATION_CHECKS_METRIC, semconv.MODEL_FAILURES_METRIC)))}"'
_TYPE: Final = label(semconv.VALIDATION_TYPE)
_OUTCOME: Final = label(semconv.VALIDATION_OUTCOME)
_THREAT: Final = label(semconv.VALIDATION_THREAT)
_MODEL: Final = label(semconv.MODEL_NAME)
_IS_THREAT: Final = f'{_THREAT}!="none"'


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    builder = (
        board(
            "Validation", "Inputs of one service: how many are refused, which look like attacks, and which models fail."
        )
        .links([link("Traces", explore_traces("${service}", ""))])
        .with_variable(service(_ANY))
    )
    for add in (_inputs, _threats, _models):
        builder = add(builder)
    return builder.build()


def _checks(*matchers: str) -> str:
    return f"{series(semconv.VALIDATION_CHECKS_METRIC)}{{{', '.join((SERVICE, *matchers))}}}"


def _share(part: str, *, by: str = "") -> str:
    group = f" by ({by}) " if by else ""
    whole = f"sum{group}({rate(_checks())})"
    return f"(sum{group}({rate(_checks(part))}) or 0 * {whole}) / {whole}"


def _inputs(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    return (
        builder.with_row(dashboard_builders.Row("Inputs"))
        .with_panel(
            number("Checked", "Inputs that were validated.", "cps", promql(f"sum({rate(_checks())})"), width=8),
        )
        .with_panel(
            number(
                "Refused",
                "Share of the inputs that were not valid, for whatever reason.",
                "percentunit",
                promql(_share(f'{_OUTCOME}!="valid"')),
                width=8,
            )
        )
        .with_panel(
            number(
                "Looked like attacks",
                "Share of the inputs with a threat, refused or let through with a warning.",
                "percentunit",
                promql(_share(_IS_THREAT)),
                red_from=0.02,
                width=8,
            )
        )
        .with_panel(
            lines(
                "Inputs by outcome",
                "What became of them: a threat is an input that was refused as an attack.",
                "cps",
                promql(f"sum by ({_OUTCOME}) ({rate(_checks())})", legend(_OUTCOME)),
                stacked=True,
            )
        )
        .with_panel(
            lines(
                "Refused by type",
                "For each type of input the share that was not valid.",
                "percentunit",
                promql(_share(f'{_OUTCOME}!="valid"', by=_TYPE), legend(_TYPE)),
            )
        )
    )


def _threats(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    return (
        builder.with_row(dashboard_builders.Row("Threats"))
        .with_panel(
            bars(
                "Threats by kind",
                "Inputs that looked like an attack, in each interval, by its kind.",
                "short",
                promql(f"sum by ({_THREAT}) ({added(_checks(_IS_THREAT))})", legend(_THREAT)),
            )
        )
        .with_panel(
            bars(
                "Threats by type and outcome",
                "Where they came in, and whether they were refused: one that was let through is valid.",
                "short",
                promql(f"sum by ({_TYPE}, {_OUTCOME}) ({added(_checks(_IS_THREAT))})", legend(_TYPE, _OUTCOME)),
            )
        )
        .with_panel(
            log_lines(
                "Latest threats",
                "Field, rules and score of each, never the text. The field trace_id leads to the trace.",
                f'event_name:="{semconv.VALIDATION_THREAT_EVENT.name}" "service.name":="$service"',
            )
        )
    )


def _models(builder: dashboard_builders.Dashboard) -> dashboard_builders.Dashboard:
    failures = f"{series(semconv.MODEL_FAILURES_METRIC)}{{{SERVICE}}}"
    return (
        builder.with_row(dashboard_builders.Row("Models of pydantic"))
        .with_panel(
            bars(
                "Failed validations by model",
                "Validations that pydantic refused, in each interval; once for each type of error in it.",
                "short",
                promql(f"sum by ({_MODEL}) ({added(failures)})", legend(_MODEL)),
            )
        )
        .with_panel(
            bars(
                "Failed validations by type of error",
                "The same by what was wrong, in pydantic's own words.",
                "short",
                promql(f"sum by ({ERROR}) ({added(failures)})", legend(ERROR)),
            )
        )
    )
