"""`TenacityInstrumentor`: the OpenTelemetry instrumentor of `tenacity`, and thereby of `stamina`."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

if TYPE_CHECKING:
    from spanguard.instrumentation.tenacity.patches import Patches


class TenacityInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Make every retry of `tenacity` count its calls and tell of its attempts and waits.

    `opentelemetry-instrument` finds it by its entry point; by hand it is `TenacityInstrumentor().instrument()`. Functions
    that are decorated already are covered. What is called, returned, raised and waited for stays what it was.
    """

    _instance = None
    _patches: Patches | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the versions of `tenacity` that this plugin knows."""
        return ("tenacity >= 9, < 10",)

    def _instrument(self, **_: Any) -> None:
        conflict = self._check_dependency_conflicts()
        if conflict is not None:
            # The one error after which `opentelemetry-instrument` goes on with the other instrumentors.
            raise ModuleNotFoundError(f"the tenacity plugin is skipped: {conflict}", name="tenacity")
        from spanguard.instrumentation.tenacity.patches import Patches  # noqa: PLC0415 - tenacity may be absent

        self._patches = Patches()
        self._patches.apply()

    def _uninstrument(self, **_: Any) -> None:
        if self._patches is not None:
            self._patches.remove()
            self._patches = None
