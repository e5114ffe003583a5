"""Dashboards as code: `python -m grafana.build` writes the JSON that Grafana loads."""

__all__: list[str] = []
