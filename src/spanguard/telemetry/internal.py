"""A failure inside spanguard never reaches the guarded call: it is counted, logged once, and the call goes on."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from spanguard import semconv
from spanguard.telemetry.counts import COUNTS
from spanguard.telemetry.error_types import error_type

_logger = logging.getLogger("spanguard")
_logger.addHandler(logging.NullHandler())

_logged: set[tuple[str, str]] = set()
_logged_lock = threading.RLock()  # re-entrant: a garbage collection inside it may end in another failure


@contextmanager
def safely(component: str) -> Iterator[None]:
    """Run a block of telemetry or a user's callback; keep what it raises away from the caller.

    Args:
        component: which part of spanguard the block belongs to, as it will stand in `spanguard.telemetry.errors`.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - this is the one place whose purpose is to stop every error
        note_failure(component, error)


def note_failure(component: str, error: BaseException) -> None:
    """Count a failure that was kept from the caller, and log the first of each component and type."""
    kind = error_type(error)
    COUNTS.add(semconv.TELEMETRY_ERRORS_METRIC, {semconv.COMPONENT.key: component, semconv.ERROR_TYPE.key: kind})
    with _logged_lock:
        if (component, kind) in _logged:
            return
        _logged.add((component, kind))
    # The message of the error may hold a caller's data, so only its class and the place are logged.
    _logger.error(
        "spanguard %s failed with %s; the guarded call was not affected. Further ones are only counted in %s.",
        component,
        kind,
        semconv.TELEMETRY_ERRORS_METRIC.name,
    )


def _after_fork_in_child() -> None:
    global _logged_lock  # noqa: PLW0603 - another thread of the parent may have held it; that thread does not exist here
    _logged_lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork_in_child)
