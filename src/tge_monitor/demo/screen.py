"""What the demonstration prints: colours and a spinner on a terminal, plain lines in a pipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from spanguard.clock import SYSTEM_CLOCK
from tge_monitor.demo.evidence import SpanNode, Trace

Seen = TypeVar("Seen")

_POLL_INTERVAL: Final = 0.1
_PIPE_WIDTH: Final = 160
_SHOWN: Final = {
    "http.response.status_code": "status",
    "spanguard.circuit_breaker.state": "breaker",
    "spanguard.circuit_breaker.outcome": "outcome",
    "spanguard.rate_limiting.result": "limiter",
    "spanguard.retry.attempt.count": "attempts",
    "spanguard.degradation.source": "answer",
    "error.type": "error",
}


class NotObservedError(Exception):
    """A step of the demonstration was not seen in time."""


class Screen:
    """Prints steps, their evidence and how long each took."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        if not self._console.is_terminal:
            self._console = Console(highlight=False, soft_wrap=True, width=_PIPE_WIDTH)
        self._started = SYSTEM_CLOCK.monotonic()

    def title(self, text: str) -> None:
        """Print the headline."""
        self._console.print(f"[bold]{escape(text)}[/bold]\n")

    def note(self, text: str) -> None:
        """Print something that explains, without being a step."""
        self._console.print(f"  {escape(text)}")

    def done(self, text: str, source: str = "") -> None:
        """Print that something was really seen, and where it can be seen again."""
        elapsed = SYSTEM_CLOCK.monotonic() - self._started
        self._console.print(f"[green]✓[/green] [dim]{elapsed:5.1f} s[/dim]  {escape(text)}")
        if source:
            self._console.print(f"           [dim]{escape(source)}[/dim]")

    def failed(self, text: str) -> None:
        """Print what was not seen."""
        self._console.print(f"[red]✗[/red] {escape(text)}")

    def next_steps(self, *, with_stack: bool) -> None:
        """Print what to try next."""
        self._console.print("\n[bold]Every step was observed.[/bold] Try next:")
        lines = [
            "make stack-down     stop the stack; until then the links above work, and it takes the signals of your own application:",
            "                    OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf opentelemetry-instrument python app.py",
        ]
        if not with_stack:
            lines = [
                "make demo-stack     the same through the collector, Jaeger, Prometheus, VictoriaLogs and Alertmanager"
            ]
        for line in [*lines, "docs/index.md       what else there is"]:
            self._console.print(f"  {escape(line)}")

    def wait_for(self, what: str, look: Callable[[], Seen | None], timeout: float) -> Seen:
        """Look again and again until there is something to see.

        Raises:
            NotObservedError: nothing was seen within `timeout` seconds.
        """
        deadline = SYSTEM_CLOCK.monotonic() + timeout
        with self._console.status(f"waiting: {escape(what)}"):
            while (seen := look()) is None:
                if SYSTEM_CLOCK.monotonic() > deadline:
                    raise NotObservedError(f"not seen within {timeout:.0f} s: {what}")
                SYSTEM_CLOCK.sleep(_POLL_INTERVAL)
        return seen

    def tree(self, trace: Trace) -> None:
        """Print a trace as a tree of its spans."""
        root = Tree(f"trace {trace.trace_id}", guide_style="dim")
        known = {span.span_id for span in trace.spans}
        for span in sorted(trace.spans, key=_start):
            if span.parent_id not in known:
                _grow(root, span, trace.spans)
        self._console.print(root)


def _start(span: SpanNode) -> int:
    return span.start


def _grow(tree: Tree, span: SpanNode, spans: tuple[SpanNode, ...]) -> None:
    shown = [f"{label}={span.attributes[key]}" for key, label in _SHOWN.items() if key in span.attributes]
    colour = "red" if span.is_error else "default"
    label = f"[{colour}]{escape(span.name)}[/{colour}]  [dim]{(span.end - span.start) / 1e6:.1f} ms  {escape('  '.join(shown))}[/dim]"
    branch = tree.add(label)
    for child in sorted((s for s in spans if s.parent_id == span.span_id), key=_start):
        _grow(branch, child, spans)
