"""Write the dashboards as JSON for Grafana: `python -m grafana.build`, or with `--check` only tell whether they are current."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

from grafana import error_handling, guards, rate_limiting, validation

OUTPUT: Final = Path(__file__).parent / "json"
DASHBOARDS: Final = {
    "error_handling.json": error_handling.build,
    "guards.json": guards.build,
    "rate_limiting.json": rate_limiting.build,
    "validation.json": validation.build,
}


def main(arguments: list[str]) -> int:
    """Write, or compare with, each file; return the exit code."""
    stale = []
    for name, build in DASHBOARDS.items():
        text = encode(build())
        path = OUTPUT / name
        if arguments == ["--check"]:
            if not path.exists() or path.read_text("utf-8") != text:
                stale.append(name)
        else:
            path.write_text(text, "utf-8")
    if stale:
        print(f"not current: {', '.join(stale)}. Run: make dashboards", file=sys.stderr)  # noqa: T201 - a script
    return 1 if stale else 0


def encode(built: dashboard.Dashboard) -> str:
    """Return a dashboard as the text of its file, its panels numbered."""
    for number, panel in enumerate(built.panels or [], start=1):
        panel.id_val = number
    return json.dumps(built, cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
