"""The local stack: the real collector, Jaeger, Prometheus, Alertmanager and VictoriaLogs, built and run on this machine."""

from spanguard.stack.build import GoMissingError
from spanguard.stack.settings import StackSettings
from spanguard.stack.stack import ServerStatus, Stack, StackEndpoints, StackStatus

__all__ = ["GoMissingError", "ServerStatus", "Stack", "StackEndpoints", "StackSettings", "StackStatus"]
