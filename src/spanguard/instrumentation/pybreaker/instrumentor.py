"""`PybreakerInstrumentor`: the OpenTelemetry instrumentor of `pybreaker`."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

if TYPE_CHECKING:
    from spanguard.instrumentation.pybreaker.patches import Patches


class PybreakerInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Make every circuit breaker of `pybreaker` count its calls and tell of its moves.

    `opentelemetry-instrument` finds it by its entry point; by hand it is `PybreakerInstrumentor().instrument()`.
    Breakers that exist already and subclasses are covered. What calls return and raise, what listeners are told and
    in which order, stays what it was.
    """

    _instance = None
    _patches: Patches | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the versions of `pybreaker` that this plugin knows."""
        return ("pybreaker >= 1.4, < 2",)

    def _instrument(self, **_: Any) -> None:
        conflict = self._check_dependency_conflicts()
        if conflict is not None:
            # The one error after which `opentelemetry-instrument` goes on with the other instrumentors.
            raise ModuleNotFoundError(f"the pybreaker plugin is skipped: {conflict}", name="pybreaker")
        from spanguard.instrumentation.pybreaker.patches import Patches  # noqa: PLC0415 - pybreaker may be absent

        patches = Patches()
        try:
            patches.apply()
        except (AttributeError, KeyError) as error:
            patches.remove()
            raise ModuleNotFoundError(
                f"the pybreaker plugin is skipped: this pybreaker lacks {error}", name="pybreaker"
            ) from error
        self._patches = patches

    def _uninstrument(self, **_: Any) -> None:
        if self._patches is not None:
            self._patches.remove()
            self._patches = None
