"""Public test controls: a clock that moves when told, captured signals, and guards that are off."""

from spanguard.testing.capture import capture
from spanguard.testing.clock import FakeClock
from spanguard.testing.guards import guards_off
from spanguard.testing.receiver import OtlpReceiver
from spanguard.testing.signals import CapturedEvent, CapturedPoint, CapturedSpan, Signals

__all__ = [
    "CapturedEvent",
    "CapturedPoint",
    "CapturedSpan",
    "FakeClock",
    "OtlpReceiver",
    "Signals",
    "capture",
    "guards_off",
]
