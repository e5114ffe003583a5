"""The faults: which path is broken how, for how many requests, and what was served."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final


class FaultKind(StrEnum):
    """What goes wrong with an answer."""

    STATUS = "status"
    DELAY = "delay"
    RESET = "reset"
    TRUNCATED = "truncated"
    HUGE = "huge"
    WRONG_ENCODING = "wrong_encoding"
    GARBAGE = "garbage"


OK: Final = "200"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        kind: what goes wrong.
        status: the HTTP status of `STATUS`.
        retry_after: the `Retry-After` header of `STATUS`, as it is sent; empty for none.
        seconds: how long `DELAY` holds the answer back.
        size: bytes in the body of `HUGE`.
        times: how many requests it meets; None for all until it is cleared.
    """

    kind: FaultKind
    status: int = 503
    retry_after: str = ""
    seconds: float = 5.0
    size: int = 50_000_000
    times: int | None = None

    @classmethod
    def from_json(cls, document: Any) -> Fault:
        """Read a fault as the admin endpoint takes it.

        Raises:
            ValueError, TypeError: the document is not one.
        """
        return cls(**{**document, "kind": FaultKind(document["kind"])})

    @property
    def label(self) -> str:
        """How requests that met it are counted: the status, or the kind."""
        return str(self.status) if self.kind is FaultKind.STATUS else self.kind.value


class FaultBoard:
    """The faults by path, and the requests by path and outcome. Safe from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: dict[str, Fault] = {}
        self._served: dict[str, Counter[str]] = {}

    def break_path(self, path: str, fault: Fault) -> None:
        """Answer requests for this path with the fault from now on."""
        with self._lock:
            self._faults[path] = fault

    def heal(self, path: str | None = None) -> None:
        """Answer well again: on this path, or on all."""
        with self._lock:
            if path is None:
                self._faults.clear()
            else:
                self._faults.pop(path, None)

    def next_fault(self, path: str) -> Fault | None:
        """Return what the request that just came is to meet; a fault for a number of requests is used up by it."""
        with self._lock:
            fault = self._faults.get(path)
            if fault is not None and fault.times is not None:
                if fault.times <= 1:
                    del self._faults[path]
                else:
                    self._faults[path] = replace(fault, times=fault.times - 1)
            return fault

    def count(self, path: str, outcome: str) -> None:
        """Count one request, before it is answered."""
        with self._lock:
            self._served.setdefault(path, Counter())[outcome] += 1

    def served(self) -> dict[str, dict[str, int]]:
        """Return the requests by path and outcome: a status, or the kind of the fault."""
        with self._lock:
            return {path: dict(counter) for path, counter in self._served.items()}
