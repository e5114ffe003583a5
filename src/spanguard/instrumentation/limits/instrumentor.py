"""`LimitsInstrumentor`: the OpenTelemetry instrumentor of `limits`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from spanguard.instrumentation.limits.patching import Patch
from spanguard.instrumentation.limits.recorder import HitRecorder


class LimitsInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Make every strategy of `limits`, sync and async, count what it decides.

    `opentelemetry-instrument` finds it by its entry point; by hand it is `LimitsInstrumentor().instrument()`. Existing
    objects and subclasses are covered. Decisions, results and errors stay what they were.
    """

    _instance = None
    _patches: tuple[Patch, ...] = ()

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the versions of `limits` that this plugin knows."""
        return ("limits >= 5.6, < 6",)

    def _instrument(self, **_: Any) -> None:
        conflict = self._check_dependency_conflicts()
        if conflict is not None:
            # The one error after which `opentelemetry-instrument` goes on with the other instrumentors.
            raise ModuleNotFoundError(f"the limits plugin is skipped: {conflict}", name="limits")
        import limits.aio.strategies  # noqa: PLC0415 - the library may be absent, and is then skipped
        import limits.strategies  # noqa: PLC0415 - as above

        recorder = HitRecorder(limits.strategies.STRATEGIES)
        async_recorder = HitRecorder(limits.aio.strategies.STRATEGIES)
        self._patches = (
            Patch(limits.strategies.RateLimiter, recorder, asynchronous=False),
            Patch(limits.aio.strategies.RateLimiter, async_recorder, asynchronous=True),
        )
        for patch in self._patches:
            patch.apply()

    def _uninstrument(self, **_: Any) -> None:
        for patch in self._patches:
            patch.remove()
        self._patches = ()
