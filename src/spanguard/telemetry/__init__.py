"""The ground floor: providers, hot-path counts, events, spans."""

from spanguard.telemetry.counts import COUNTS, Cell, Counts
from spanguard.telemetry.error_types import error_type
from spanguard.telemetry.events import EmittedEvent, EventSink, add_sink, emit, log_sink, remove_sink
from spanguard.telemetry.providers import Telemetry, setup

__all__ = [
    "COUNTS",
    "Cell",
    "Counts",
    "EmittedEvent",
    "EventSink",
    "Telemetry",
    "add_sink",
    "emit",
    "error_type",
    "log_sink",
    "remove_sink",
    "setup",
]
