"""Public test controls: a clock that moves when told, and captured signals."""

from spanguard.testing.capture import capture
from spanguard.testing.clock import FakeClock
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
]
