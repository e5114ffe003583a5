"""Write docs/signals.md from the registry: `python docs/generate_signals.py`, or with `--check` only tell whether it is current."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from spanguard import semconv
from spanguard.semconv import Attribute, Event, Metric, Span

OUTPUT: Final = Path(__file__).parent / "signals.md"

INTRODUCTION: Final = """\
# Signals

Every metric, event and span that spanguard emits, with its attributes. This page is generated from the registry,
`spanguard.semconv`; a test holds captured telemetry against that registry.

The instrumentation scope is `{scope}`. An attribute in *italics* is there only where it has a value. Names follow
[OpenTelemetry's naming guide](https://opentelemetry.io/docs/specs/semconv/general/naming/); units are UCUM. A name that
is *development* may still change in a minor version.

In Prometheus dots become underscores, a unit and `_total` are added: `spanguard.circuit_breaker.calls` arrives as
`spanguard_circuit_breaker_calls_total`. In VictoriaLogs and Jaeger names stay as they are here.
"""


def main(arguments: list[str]) -> int:
    """Write the page, or compare with it; return the exit code."""
    text = page()
    if arguments == ["--check"]:
        if OUTPUT.exists() and OUTPUT.read_text("utf-8") == text:
            return 0
        print("docs/signals.md is not current. Run: make signals", file=sys.stderr)  # noqa: T201 - a script
        return 1
    OUTPUT.write_text(text, "utf-8")
    return 0


def page() -> str:
    """Return the page as Markdown."""
    sections = [
        INTRODUCTION.format(scope=semconv.SCHEMA_SCOPE),
        "## Metrics\n",
        *map(_metric, semconv.METRICS),
        "## Events\n\nLog records with an event name, in the trace that caused them.\n",
        *map(_event, semconv.EVENTS),
        "## Spans\n",
        *map(_span, semconv.SPANS),
        "## On the application's own spans\n",
        _sentence(
            "A decision may write these attributes on the span that is current when it is made:", semconv.ANNOTATIONS
        ),
        "## Attributes\n",
        _attributes(),
    ]
    return "\n".join(sections)


def _metric(metric: Metric) -> str:
    lines = [
        f"### `{metric.name}`\n",
        f"{metric.meaning}\n",
        f"- {metric.kind.value}, unit `{metric.unit}`, {metric.stability.value}",
        f"- attributes: {_keys(metric.attributes, metric.optional)}",
    ]
    if metric.buckets:
        lines.append(f"- buckets: {', '.join(f'{bound:g}' for bound in metric.buckets)}")
    return "\n".join([*lines, ""])


def _event(event: Event) -> str:
    return (
        f"### `{event.name}`\n\n{event.meaning}\n\n- {event.stability.value}\n"
        f"- attributes: {_keys(event.attributes, event.optional)}\n"
    )


def _span(span: Span) -> str:
    return (
        f"### `{span.name}`\n\n{span.meaning}\n\n- {span.stability.value}\n"
        f"- attributes: {_keys(span.attributes, span.optional)}\n"
    )


def _keys(attributes: Iterable[Attribute], optional: Iterable[Attribute]) -> str:
    always = [f"`{_key(attribute)}`" for attribute in attributes]
    sometimes = [f"*`{_key(attribute)}`*" for attribute in optional]
    return ", ".join(always + sometimes) or "none"


def _sentence(start: str, attributes: Iterable[Attribute]) -> str:
    return f"{start} {', '.join(f'`{_key(attribute)}`' for attribute in attributes)}.\n"


def _attributes() -> str:
    entries = (*semconv.METRICS, *semconv.EVENTS, *semconv.SPANS)
    used = {attribute.key: attribute for entry in entries for attribute in (*entry.attributes, *entry.optional)}
    used |= {attribute.key: attribute for attribute in (*semconv.ANNOTATIONS, semconv.METRIC_OVERFLOW)}
    rows = [_row(used[key]) for key in sorted(used)]
    return "\n".join(["| attribute | type | meaning | values |", "|-|-|-|-|", *rows, ""])


def _row(attribute: Attribute) -> str:
    kind = f"{attribute.type}, {attribute.unit}" if attribute.unit else attribute.type
    values = ", ".join(f"`{value}`" for value in attribute.values)
    return f"| `{_key(attribute)}` | {kind} | {attribute.meaning} | {values} |"


def _key(attribute: Attribute) -> str:
    return f"{attribute.key}.<name>" if attribute.is_prefix else attribute.key


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
