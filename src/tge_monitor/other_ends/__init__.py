"""The other ends of the monitor, as real servers with faults to switch on: an HTTP service with posts and feeds, and SMTP."""

from tge_monitor.other_ends.faults import Fault, FaultKind
from tge_monitor.other_ends.http_service import HttpService
from tge_monitor.other_ends.mailbox import Mailbox, ReceivedMail
from tge_monitor.other_ends.running import OtherEnds

__all__ = ["Fault", "FaultKind", "HttpService", "Mailbox", "OtherEnds", "ReceivedMail"]
