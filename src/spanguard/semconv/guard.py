"""The signals of a guard as a whole, and of the configuration of all of them."""

from __future__ import annotations

from typing import Final

from spanguard.semconv.model import Attribute, Event

TIME_IN_QUEUE: Final = Attribute(
    "spanguard.guard.time_in_queue",
    "double",
    "From the arrival of the call to its permits: the time at the rate limiter and in the queue of the bulkhead.",
    unit="s",
)
CONFIG_SECTIONS: Final = Attribute(
    "spanguard.config.sections",
    "string",
    "The sections of the profile that changed, such as `timeouts.search`, in alphabetical order, separated by commas. No values.",
)

CONFIG_RELOAD_EVENT: Final = Event(
    "spanguard.config.reload",
    "A running system took over a changed profile, without losing the state of its guards.",
    (CONFIG_SECTIONS,),
)
