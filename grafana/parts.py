"""The parts that dashboards are made of: data sources, queries and panels with our defaults."""

from __future__ import annotations

import json
import urllib.parse
from typing import Any, Final, TypeVar

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.builders import logs, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog import builder as cog_builder
from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models import prometheus as prometheus_models

# The uids of provisioning/datasources/spanguard.yaml.
PROMETHEUS: Final = common.DataSourceRef(type_val="prometheus", uid="prometheus")
JAEGER: Final = common.DataSourceRef(type_val="jaeger", uid="jaeger")
VICTORIALOGS: Final = common.DataSourceRef(type_val="victoriametrics-logs-datasource", uid="victorialogs")

Panel = TypeVar("Panel", timeseries.Panel, stat.Panel, statetimeline.Panel, table.Panel, logs.Panel)

_NOT_A_NUMBER: Final = dashboard.SpecialValueMap(
    dashboard.DashboardSpecialValueMapOptions(
        match=dashboard.SpecialValueMatch.NULL_AND_NAN, result=dashboard.ValueMappingResult(text="none")
    )
)


class Query(cog_builder.Builder[variants.Dataquery]):
    """A query of a data source for which the SDK has no type: its fields as they stand in the JSON."""

    def __init__(self, datasource: common.DataSourceRef, **fields: str | int | bool) -> None:
        self._query = _PlainQuery(datasource, fields)

    def build(self) -> variants.Dataquery:
        """Return the query."""
        return self._query


class _PlainQuery(variants.Dataquery):
    def __init__(self, datasource: common.DataSourceRef, fields: dict[str, str | int | bool]) -> None:
        self._json = {"refId": "A", "datasource": datasource, **fields}

    def to_json(self) -> dict[str, Any]:
        return self._json


def promql(
    expr: str, legend: str = "__auto", *, ref: str = "A", instant: bool = False, exemplars: bool = False
) -> prometheus.Dataquery:
    """Return a Prometheus query over the dashboard's time, or of its end if `instant`."""
    query = prometheus.Dataquery().datasource(PROMETHEUS).ref_id(ref).expr(expr).legend_format(legend)
    query = query.exemplar(exemplars).editor_mode(prometheus_models.QueryEditorMode.CODE)
    if instant:
        return query.instant().format(prometheus_models.PromQueryFormat.TABLE)
    return query.range()


def quantiles(buckets: str, by: str) -> list[prometheus.Dataquery]:
    """Return the median, the 95th and the 99th percentile of a histogram, given the growth of its buckets."""
    grown = f"sum by (le, {by}) ({buckets})"
    return [
        promql(f"histogram_quantile({quantile}, {grown})", f"{legend(by)} {name}", ref=ref, exemplars=ref == "A")
        for ref, quantile, name in (("A", 0.5, "p50"), ("B", 0.95, "p95"), ("C", 0.99, "p99"))
    ]


def legend(*labels: str) -> str:
    """Return the legend that shows these labels of a series."""
    return " ".join(f"{{{{{name}}}}}" for name in labels)


def lines(
    title: str, description: str, unit: str, *queries: prometheus.Dataquery, width: int = 12, stacked: bool = False
) -> timeseries.Panel:
    """Return a panel with a line for each series."""
    panel = _panel(timeseries.Panel(), title, description, width, 8, PROMETHEUS).unit(unit).min(0)
    panel = panel.line_width(1).fill_opacity(25 if stacked else 5).show_points(common.VisibilityMode.NEVER)
    panel = panel.legend(
        common_builders.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.TABLE)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(["lastNotNull", "max"])
    ).tooltip(
        common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
    )
    if stacked:
        panel = panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    for query in queries:
        panel = panel.with_target(query)
    return panel


def bars(title: str, description: str, unit: str, *queries: prometheus.Dataquery, width: int = 12) -> timeseries.Panel:
    """Return a panel with stacked bars: for what is counted in each interval."""
    panel = lines(title, description, unit, *queries, width=width, stacked=True)
    return panel.draw_style(common.GraphDrawStyle.BARS).fill_opacity(80).decimals(0)


def number(
    title: str,
    description: str,
    unit: str,
    query: prometheus.Dataquery,
    *,
    red_from: float | None = None,
    width: int = 4,
) -> stat.Panel:
    """Return one large number with its recent past; red from a threshold on."""
    panel = _panel(stat.Panel(), title, description, width, 4, PROMETHEUS).unit(unit).mappings([_NOT_A_NUMBER])
    steps = [dashboard.Threshold(value=None, color="text" if red_from is None else "green")]
    if red_from is not None:
        steps.append(dashboard.Threshold(value=red_from, color="red"))
    panel = panel.thresholds(
        dashboard_builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)
    ).color_scheme(dashboard_builders.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
    panel = panel.graph_mode(common.BigValueGraphMode.AREA).color_mode(common.BigValueColorMode.VALUE)
    panel = panel.reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    return panel.with_target(query)


def states(
    title: str,
    description: str,
    query: prometheus.Dataquery,
    names: dict[int, tuple[str, str]],
    *,
    width: int = 24,
    height: int = 7,
) -> statetimeline.Panel:
    """Return a timeline with a row for each series; `names` gives each value its text and colour."""
    mapping = dashboard.ValueMap(
        {
            str(value): dashboard.ValueMappingResult(text=text, color=color, index=index)
            for index, (value, (text, color)) in enumerate(names.items())
        }
    )
    panel = _panel(statetimeline.Panel(), title, description, width, height, PROMETHEUS).unit("short")
    panel = panel.mappings([mapping]).merge_values(True).show_value(common.VisibilityMode.AUTO).row_height(0.8)
    panel = panel.color_scheme(dashboard_builders.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
    panel = panel.fill_opacity(80).line_width(0).with_target(query)
    return panel.legend(common_builders.VizLegendOptions().show_legend(False))


def rows(
    title: str,
    description: str,
    query: cog_builder.Builder[variants.Dataquery],
    datasource: common.DataSourceRef,
    *,
    hidden: tuple[str, ...] = (),
    width: int = 12,
) -> table.Panel:
    """Return a table; `hidden` columns are left out."""
    panel = _panel(table.Panel(), title, description, width, 8, datasource).with_target(query)
    if hidden:
        options = {"excludeByName": dict.fromkeys(hidden, True)}
        panel = panel.with_transformation(dashboard.DataTransformerConfig(id_val="organize", options=options))
    return panel


def log_lines(title: str, description: str, logsql: str) -> logs.Panel:
    """Return a panel of log records, the newest first, with all their fields."""
    panel = _panel(logs.Panel(), title, description, 24, 10, VICTORIALOGS)
    panel = panel.show_time(True).wrap_log_message(True).enable_log_details(True)
    panel = panel.sort_order(common.LogsSortOrder.DESCENDING).dedup_strategy(common.LogsDedupStrategy.NONE)
    return panel.with_target(Query(VICTORIALOGS, queryType="instant", expr=logsql, maxLines=200))


def board(title: str, description: str) -> dashboard_builders.Dashboard:
    """Begin a dashboard, with what all of ours have in common."""
    return (
        dashboard_builders.Dashboard(title)
        .uid(f"spanguard-{title.lower().replace(' ', '-')}")
        .description(description)
        .tags(["spanguard"])
        .time("now-30m", "now")
        .refresh("10s")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
    )


def link(title: str, url: str, tooltip: str = "") -> dashboard_builders.DashboardLink:
    """Return a link that keeps the dashboard open."""
    return (
        dashboard_builders.DashboardLink(title)
        .type(dashboard.DashboardLinkType.LINK)
        .url(url)
        .tooltip(tooltip)
        .icon("external link")
        .target_blank(True)
    )


def explore_traces(service: str, operation: str) -> str:
    """Return the address of Grafana's Explore with a trace search; both may be variables such as `${service}`."""
    query = {"refId": "A", "queryType": "search", "service": service, "operation": operation}
    pane = {"datasource": JAEGER.uid, "queries": [query], "range": {"from": "${__from}", "to": "${__to}"}}
    # Variables must stay as they are: Grafana fills them in before the browser sees the address.
    panes = urllib.parse.quote(json.dumps({"traces": pane}, separators=(",", ":")), safe="${}:_.,")
    return f"/explore?schemaVersion=1&orgId=1&panes={panes}"


def _panel(
    panel: Panel, title: str, description: str, width: int, height: int, datasource: common.DataSourceRef
) -> Panel:
    return panel.title(title).description(description).span(width).height(height).datasource(datasource)
