"""spanguard: every guard's decision is an OpenTelemetry signal."""

from spanguard._version import __version__
from spanguard.errors import SpanguardError

__all__ = ["SpanguardError", "__version__"]
