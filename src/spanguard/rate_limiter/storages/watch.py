"""Whether a shared storage answers, and how it is found again: nobody who has a decision to make waits to find out."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Awaitable, Callable
from random import uniform
from typing import Final

from opentelemetry._logs import SeverityNumber

from spanguard import semconv
from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.telemetry import COUNTS, emit, error_type

TRY_AGAIN: Final = (0.5, 1.5)
"""Seconds between two tries, at random so that the processes do not come back as a herd."""

Probe = Callable[[], None]
AsyncProbe = Callable[[], Awaitable[None]]


class Watch:
    """The state of one policy's shared storage in this process. Safe from threads and event loops.

    Args:
        policy: the policy's name in the signals.
        clock: where time comes from.

    Attributes:
        is_degraded: whether the process goes on alone.
    """

    def __init__(self, policy: str, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.is_degraded = False
        self._policy = policy
        self._clock = clock
        self._due = 0.0
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[None] | None = None
        self._lock = threading.Lock()
        self._gone = threading.Event()
        # Wakes the thread when nobody decides here any more, so that it ends.
        weakref.finalize(self, self._gone.set).atexit = False
        COUNTS.observe(semconv.LIMITER_STORAGE_STATUS_METRIC, self, _status)
        _watches.add(self)

    def lose(self, error: BaseException) -> None:
        """Go on alone; tell so, if that is news."""
        with self._lock:
            is_news, self.is_degraded = not self.is_degraded, True
            if is_news:
                self._put_off()
        if is_news:
            self._tell(error_type(error))

    def keep_probing(self, probe: Probe) -> None:
        """See that a thread of this process tries the storage until it answers. It does not keep the probe's object."""
        if self._is_probed():
            return
        with self._lock:
            if self._is_probed() or not self.is_degraded:
                return
            self._thread = threading.Thread(
                target=_probe_until_well,
                args=(weakref.ref(self), weakref.WeakMethod(probe), self._gone, self._clock),
                name="spanguard-limiter-probe",
                daemon=True,
            )
            self._thread.start()

    def keep_probing_async(self, probe: AsyncProbe) -> None:
        """See that a task of the running loop, or else a thread, tries the storage until it answers."""
        if self._is_probed():
            return
        with self._lock:
            if not self._is_probed() and self.is_degraded:
                self._task = asyncio.get_running_loop().create_task(
                    _probe_until_well_async(weakref.ref(self), weakref.WeakMethod(probe), self._clock)
                )

    def pause(self) -> float:
        """Return for how many seconds to wait with the next try."""
        return max(self._due - self._clock.monotonic(), 0.0)

    def put_off(self) -> None:
        """Plan the next try."""
        with self._lock:
            self._put_off()

    def find(self) -> None:
        """Share again, and tell so."""
        with self._lock:
            is_news, self.is_degraded = self.is_degraded, False
            self._thread = self._task = None
        if is_news:
            self._tell(None)

    def start_again_in_child(self) -> None:
        """Drop what belongs to the parent process: its threads and its loop do not run here."""
        self._lock = threading.Lock()
        self._thread = self._task = None

    def _put_off(self) -> None:
        self._due = self._clock.monotonic() + uniform(*TRY_AGAIN)  # noqa: S311 - spreads load

    def _is_probed(self) -> bool:
        thread, task = self._thread, self._task
        return (thread is not None and thread.is_alive()) or (
            # A loop that has ended has taken its tasks along.
            task is not None and not task.done() and task.get_loop().is_running()
        )

    def _tell(self, kind: str | None) -> None:
        degraded = kind is not None
        emit(
            semconv.LIMITER_STORAGE_EVENT,
            {
                semconv.POLICY_NAME.key: self._policy,
                semconv.LIMITER_STORAGE_STATE.key: "degraded" if degraded else "available",
                semconv.ERROR_TYPE.key: kind,
            },
            body=f"rate limiter {self._policy!r} "
            + (
                f"goes on with its local share: its storage failed with {kind}"
                if degraded
                else "shares its limit again: its storage answers"
            ),
            severity=SeverityNumber.WARN if degraded else SeverityNumber.INFO,
        )

    def status(self) -> semconv.LimiterStorageState:
        """Return the state as signals name it."""
        return "degraded" if self.is_degraded else "available"

    def attributes(self) -> dict[str, str]:
        """Return what every signal of this watch bears."""
        return {semconv.POLICY_NAME.key: self._policy}


def _probe_until_well(
    watching: weakref.ref[Watch], probing: weakref.WeakMethod[Probe], gone: threading.Event, clock: Clock
) -> None:
    while (watch := watching()) is not None and (probe := probing()) is not None:
        pause = watch.pause()
        if not pause:
            try:
                probe()
            except Exception:  # noqa: BLE001 - whatever it is, the storage is not well
                watch.put_off()
            else:
                watch.find()
                return
        # While it sleeps, the thread keeps neither alive.
        del watch, probe
        if pause:
            clock.wait(gone, pause)


async def _probe_until_well_async(
    watching: weakref.ref[Watch], probing: weakref.WeakMethod[AsyncProbe], clock: Clock
) -> None:
    while (watch := watching()) is not None and (probe := probing()) is not None:
        pause = watch.pause()
        if not pause:
            try:
                await probe()
            except Exception:  # noqa: BLE001 - whatever it is, the storage is not well
                watch.put_off()
            else:
                watch.find()
                return
        del watch, probe
        if pause:
            await clock.sleep_async(pause)


def _status(watch: Watch) -> list[tuple[dict[str, str], int]]:
    return [
        ({**watch.attributes(), semconv.LIMITER_STORAGE_STATE.key: state}, int(state == watch.status()))
        for state in semconv.LIMITER_STORAGE_STATES
    ]


_watches: weakref.WeakSet[Watch] = weakref.WeakSet()


def _restart_all() -> None:
    for watch in list(_watches):
        watch.start_again_in_child()


os.register_at_fork(after_in_child=_restart_all)
