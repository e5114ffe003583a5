"""Draw what each strategy makes of the same requests: `python docs/draw_strategies.py`; `--check` tells if they are current.

The limiters are real; only their clock is not.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import leather

from spanguard.rate_limiter import LeakyBucketLimiter, RateLimiter, SlidingWindowLimiter, TokenBucketLimiter
from spanguard.testing import FakeClock

Point = tuple[float, int]

IMAGES = Path(__file__).parent / "images"
ARRIVALS = [0.0] * 15 + [12.0] * 12 + [20 + 0.5 * number for number in range(40)]
END = 45.0
STEP = 0.125

LIMITERS: dict[str, Callable[..., RateLimiter]] = {
    "token-bucket": lambda **options: TokenBucketLimiter(rate=1, burst=10, **options),
    "leaky-bucket": lambda **options: LeakyBucketLimiter(rate=1, capacity=10, **options),
    "sliding-window": lambda **options: SlidingWindowLimiter(limit=10, window=10, **options),
    "sliding-window-estimate": lambda **options: SlidingWindowLimiter(limit=10, window=10, exact=False, **options),
}


def admissions(make: Callable[..., RateLimiter]) -> list[float]:
    """Return when requests go; only before a leaky bucket do they wait."""
    clock = FakeClock(start=0.0)
    limiter = make(name="drawing", clock=clock)
    waits = isinstance(limiter, LeakyBucketLimiter)
    admitted: list[float] = []

    async def ask() -> None:
        if await limiter.acquire_async(wait=waits):
            admitted.append(clock.monotonic())

    async def live() -> None:
        tasks: list[asyncio.Task[None]] = []
        due = list(ARRIVALS)
        while clock.monotonic() <= END:
            while due and due[0] <= clock.monotonic():
                due.pop(0)
                tasks.append(asyncio.create_task(ask()))
            for _ in range(20):
                await asyncio.sleep(0)
            clock.advance(STEP)
        for task in tasks:
            task.cancel()

    asyncio.run(live())
    return admitted


def staircase(moments: list[float]) -> list[Point]:
    """Return how many there were by each moment, as the corners of a line."""
    points: list[Point] = [(0.0, 0)]
    for count, moment in enumerate(moments, start=1):
        points += [(moment, count - 1), (moment, count)]
    return [*points, (END, len(moments))]


def drawing(name: str) -> str:
    """Return one drawing as SVG."""
    leather.theme.title_font_family = leather.theme.legend_font_family = "sans-serif"
    leather.theme.tick_font_family = leather.theme.axis_title_font_family = "sans-serif"
    chart: Any = leather.Chart()
    chart.add_x_scale(0, END)
    chart.add_y_scale(0, 70)
    chart.add_x_axis(name="seconds", ticks=list(range(0, 50, 5)))
    chart.add_y_axis(name="requests so far", ticks=list(range(0, 80, 10)))
    chart.add_line(staircase(ARRIVALS), name="asked", stroke_color="#999999")
    chart.add_line(staircase(admissions(LIMITERS[name])), name="let through", stroke_color="#1f5fbf")
    return f"{chart.to_svg(width=720, height=320)}\n"


def main(arguments: list[str]) -> int:
    """Write all drawings, or compare with them; return the exit code."""
    drawings = {IMAGES / f"{name}.svg": drawing(name) for name in LIMITERS}
    if arguments == ["--check"]:
        stale = [path.name for path, text in drawings.items() if not path.exists() or path.read_text("utf-8") != text]
        if stale:
            print(f"{', '.join(stale)}: not current. Run: make curves", file=sys.stderr)  # noqa: T201 - a script
        return 1 if stale else 0
    IMAGES.mkdir(exist_ok=True)
    for path, text in drawings.items():
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
