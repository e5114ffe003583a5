"""What `import spanguard` costs in a fresh interpreter, over importing the OpenTelemetry SDK that it stands on."""

from __future__ import annotations

import subprocess
import sys
import time

from common import Figure, Timer

SDK = "import opentelemetry.sdk.trace, opentelemetry.sdk.metrics, opentelemetry.sdk._logs"


def importing(statement: str) -> Timer:
    def run(loops: int) -> float:
        elapsed = 0.0
        for _ in range(loops):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True)
            elapsed += time.perf_counter() - start
        return elapsed

    return run


FIGURES = [
    Figure(
        "import",
        "import spanguard",
        0.050,
        lambda: importing(f"{SDK}; import spanguard"),
        lambda: importing(SDK),
        "importing the OTel SDK",
        difference=True,
    )
]
