"""What the servers printed: the last lines, and what is added to them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

_FOLLOW_INTERVAL = 0.2


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines of a log, also one that has no end yet; none when there is no log."""
    lines, begun, _ = _tail(log, count)
    return [*lines, *([begun] if begun else [])][-count:] if count else []


def read_logs(
    logs: Mapping[str, Path], *, lines: int, follow: bool, sleep: Callable[[float], None]
) -> Iterator[tuple[str, str]]:
    """Yield (server, line): the last `lines` of each log, then with `follow` what is added, without end."""
    ends = {}
    for name, log in logs.items():
        whole, _, ends[name] = _tail(log, lines)
        # A line without an end is shown as it is, but when followed once it is whole.
        yield from ((name, line) for line in (whole if follow else last_lines(log, lines)))
    while follow:
        sleep(_FOLLOW_INTERVAL)
        for name, log in logs.items():
            added, ends[name] = _added(log, ends[name])
            yield from ((name, line) for line in added)


def _tail(log: Path, count: int) -> tuple[list[str], str, int]:
    """The last whole lines, the begun one after them, and the position where the whole ones end."""
    try:
        with log.open("rb") as content:
            kept = deque(content, maxlen=count + 1)
            end = content.tell()
    except FileNotFoundError:
        return [], "", 0
    begun = kept.pop() if kept and not kept[-1].endswith(b"\n") else b""
    whole = list(kept)[max(len(kept) - count, 0) :]
    return [_text(line) for line in whole], _text(begun), end - len(begun)


def _added(log: Path, position: int) -> tuple[list[str], int]:
    """The whole lines after `position` and where they end; a log that is shorter than that began anew with another run."""
    try:
        with log.open("rb") as content:
            if log.stat().st_size < position:
                position = 0
            content.seek(position)
            added = content.read()
    except FileNotFoundError:
        return [], 0
    added = added[: added.rfind(b"\n") + 1]
    return [_text(line) for line in added.splitlines()], position + len(added)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n")
