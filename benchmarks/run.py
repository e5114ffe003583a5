"""Measure the figures and print them as a table: `python benchmarks/run.py [--fast] [--write] [names]`.

Each figure is a ratio to a peer that is measured in the same run, turn by turn, by pyperf in processes of their own.
Absolute times depend on the machine; a ratio hardly does. The exit code is 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyperf
from common import Figure
from discovery import discover

HERE = Path(__file__).resolve().parent
WORKER = HERE / "worker.py"
PAGE = HERE.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


@dataclass(frozen=True, slots=True)
class Result:
    """One figure as measured; times are in seconds."""

    figure: Figure
    ours: float
    peer: float

    @property
    def ratio(self) -> float:
        figure = self.figure
        if figure.difference:
            return self.ours - self.peer
        return self.peer / self.ours if figure.at_least else self.ours / self.peer

    @property
    def met(self) -> bool:
        return self.ratio >= self.figure.goal if self.figure.at_least else self.ratio <= self.figure.goal

    @property
    def row(self) -> tuple[str, ...]:
        figure = self.figure
        ratio = in_units(self.ratio) if figure.difference else f"{self.ratio:.2f}"
        goal = in_units(figure.goal) if figure.difference else f"{figure.goal:g}"
        sign = "≥" if figure.at_least else "≤"
        return (
            figure.what,
            self._shown(self.ours),
            f"{self._shown(self.peer)} ({figure.peer_is})",
            f"+{ratio}".replace("+-", "-") if figure.difference else ratio,
            f"{sign} {goal}",
            "yes" if self.met else "no",
        )

    def _shown(self, value: float) -> str:
        return f"{value:g} {self.figure.counts}" if self.figure.counts else in_units(value)


HEADINGS = ("what", "ours", "peer", "ratio", "goal", "met")


def main() -> int:
    """Measure what was asked for."""
    arguments = parse()
    figures = {figure.name: figure for figure in discover()}
    unknown = [name for name in arguments.names if name not in figures]
    if unknown:
        print(f"no figure is named {', '.join(unknown)}; there are: {', '.join(figures)}", file=sys.stderr)
        return 2
    chosen = [figures[name] for name in arguments.names] or list(figures.values())
    results = []
    for number, figure in enumerate(chosen, start=1):
        print(f"[{number}/{len(chosen)}] {figure.what}", file=sys.stderr, flush=True)
        results.append(measure(figure, fast=arguments.fast))
    print(as_text(results))
    if arguments.write:
        write(results)
    return 0 if all(result.met for result in results) else 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", help="figures to measure; all, if left out")
    parser.add_argument("--fast", action="store_true", help="fewer and shorter runs")
    parser.add_argument("--write", action="store_true", help="keep the table in docs/benchmarks.md")
    return parser.parse_args()


def measure(figure: Figure, *, fast: bool) -> Result:
    """Time both sides in turns, and take the quickest of each: whatever else the machine does only ever adds.

    Of what is counted the greatest number stands, after fewer turns.
    """
    times: dict[str, list[float]] = {"ours": [], "peer": []}
    for _ in range(1 if figure.counts else 3 if fast else 7):
        for side, measured in times.items():
            measured.extend(run_worker(figure, side, fast=fast))
    chosen = max if figure.counts else min
    return Result(figure, chosen(times["ours"]), chosen(times["peer"]))


def run_worker(figure: Figure, side: str, *, fast: bool) -> Iterable[float]:
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "result.json"
        count = "3" if figure.counts else "10"
        settings = ["-p", "1", "-n", count, "-w", "1", "--min-time", "0.01" if fast else "0.05"]
        command = [sys.executable, str(WORKER), f"{figure.name}:{side}", "-q", "-o", str(output), *settings]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"the worker of {figure.name} ({side}) failed:\n{done.stdout}{done.stderr}")
        values: Iterable[float] = pyperf.Benchmark.load(str(output)).get_values()
        return list(values)


def in_units(seconds: float) -> str:
    for limit, factor, unit in ((1e-6, 1e9, "ns"), (1e-3, 1e6, "us"), (1.0, 1e3, "ms")):
        if abs(seconds) < limit:
            return f"{seconds * factor:.3g} {unit}" if unit != "ns" else f"{seconds * factor:.0f} ns"
    return f"{seconds:.3g} s"


def as_text(results: list[Result]) -> str:
    rows = [HEADINGS, *(result.row for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def write(results: list[Result]) -> None:
    """Replace the rows of the measured figures in the page, and leave the others as they are."""
    page = PAGE.read_text() if PAGE.exists() else f"# Benchmarks\n\n{BEGIN}\n{END}\n"
    before, _, rest = page.partition(BEGIN)
    table, _, after = rest.partition(END)
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in table.splitlines() if line.startswith("| ")}
    lines.pop(HEADINGS[0], None)
    for result in results:
        lines[result.row[0]] = f"| {' | '.join(result.row)} |"
    heading = f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}\n"
    note = f"Last measured on CPython {platform.python_version()}, {platform.machine()}.\n"
    PAGE.write_text(before + BEGIN + "\n" + heading + "\n".join(lines.values()) + f"\n\n{note}" + END + after)


if __name__ == "__main__":
    sys.exit(main())
