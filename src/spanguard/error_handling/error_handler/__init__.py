"""The global error handler."""

from spanguard.error_handling.error_handler.handler import ErrorHandler
from spanguard.error_handling.error_handler.record import (
    ErrorCallback,
    ErrorRecord,
    ErrorSeverity,
    ErrorSource,
    ErrorStats,
)

__all__ = ["ErrorCallback", "ErrorHandler", "ErrorRecord", "ErrorSeverity", "ErrorSource", "ErrorStats"]
