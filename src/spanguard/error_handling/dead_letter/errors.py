"""What a dead-letter queue raises."""

from __future__ import annotations

from spanguard.errors import SpanguardError


class DeadLetterError(SpanguardError):
    """The root of what a dead-letter queue refuses."""


class DeadLetterPayloadError(DeadLetterError, ValueError):
    """The payload cannot be kept: it is not JSON, or too large. Nothing was stored."""


class DeadLetterNotFoundError(DeadLetterError, LookupError):
    """There is no letter with this id in this queue: it was replayed or purged, or never was."""


class DeadLetterLeasedError(DeadLetterError, RuntimeError):
    """The letter is being replayed just now, so it was left alone."""


class DeadLetterDatabaseError(DeadLetterError, RuntimeError):
    """The database is not one of ours, damaged, or of a version that this program does not know. Nothing was changed."""
