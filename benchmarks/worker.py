"""One side of one figure under pyperf: `worker.py <figure>:<ours|peer>`. `run.py` starts it, and pyperf starts it again."""

from __future__ import annotations

import argparse

import pyperf
from discovery import discover


def main() -> None:
    """Time what the command line names."""

    def pass_on(command: list[str], arguments: argparse.Namespace) -> None:
        command.append(arguments.task)

    runner = pyperf.Runner(add_cmdline_args=pass_on)
    runner.argparser.add_argument("task")
    name, side = runner.parse_args().task.split(":")
    figure = next(figure for figure in discover() if figure.name == name)
    runner.bench_time_func(f"{name}:{side}", figure.ours() if side == "ours" else figure.peer())


if __name__ == "__main__":
    main()
