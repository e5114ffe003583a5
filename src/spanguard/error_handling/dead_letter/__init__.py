"""The dead-letter queue."""

from spanguard.error_handling.dead_letter.errors import (
    DeadLetterDatabaseError,
    DeadLetterError,
    DeadLetterLeasedError,
    DeadLetterNotFoundError,
    DeadLetterPayloadError,
)
from spanguard.error_handling.dead_letter.letter import DeadLetter, LetterState, ReplayReport
from spanguard.error_handling.dead_letter.queue import DeadLetterQueue

__all__ = [
    "DeadLetter",
    "DeadLetterDatabaseError",
    "DeadLetterError",
    "DeadLetterLeasedError",
    "DeadLetterNotFoundError",
    "DeadLetterPayloadError",
    "DeadLetterQueue",
    "LetterState",
    "ReplayReport",
]
