"""Find what the benchmark files declare."""

from __future__ import annotations

import importlib
from pathlib import Path

from common import Figure

HERE = Path(__file__).resolve().parent


def discover() -> list[Figure]:
    """Return the figures of every `bench_*.py` beside this file."""
    modules = [importlib.import_module(path.stem) for path in sorted(HERE.glob("bench_*.py"))]
    return [figure for module in modules for figure in module.FIGURES]
