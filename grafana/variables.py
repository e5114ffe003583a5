"""The variables that dashboards share."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.models import dashboard

from grafana.parts import PROMETHEUS
from grafana.queries import POLICY, SERVICE


def service(metrics: str) -> dashboard_builders.QueryVariable:
    """Return the variable `service`, of those that have one of the metrics: a matcher on their name."""
    # One service at a time: a trace search knows no "all".
    return (
        dashboard_builders.QueryVariable("service")
        .label("Service")
        .datasource(PROMETHEUS)
        .query(
            {
                "qryType": 1,
                "query": f"label_values({{{metrics}}}, service_name)",
                "refId": "service",
            }
        )
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(False)
        .include_all(False)
    )


def policy(metrics: str) -> dashboard_builders.QueryVariable:
    """Return the variable `policy`, of the chosen service's guards that have one of the metrics."""
    query = f"label_values({{{metrics}, {SERVICE}}}, {POLICY})"
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
