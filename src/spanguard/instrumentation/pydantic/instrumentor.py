"""`PydanticInstrumentor`: the OpenTelemetry instrumentor of `pydantic`."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

if TYPE_CHECKING:
    from spanguard.instrumentation.pydantic.patches import Patches


class PydanticInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Count the validations that `pydantic` refuses, by model and type of error; one that succeeds costs nothing more.

    `opentelemetry-instrument` finds it by its entry point; by hand it is `PydanticInstrumentor().instrument()`. Models,
    dataclasses, adapters and validated functions that exist already are covered. What is validated and raised stays
    what it was, and no value of an input is looked at.

    Args:
        error_types: to `instrument`: the words for errors that the program has itself made up
            (`PydanticCustomError("no_stock", ...)`) and that may stand in the metrics; all others count as `_OTHER`,
            since such a word may be made from an input.
    """

    _instance = None
    _patches: Patches | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the versions of `pydantic` that this plugin knows."""
        return ("pydantic >= 2.11, < 3",)

    def _instrument(self, *, error_types: Collection[str] = (), **_: Any) -> None:
        conflict = self._check_dependency_conflicts()
        if conflict is not None:
            # The one error after which `opentelemetry-instrument` goes on with the other instrumentors.
            raise ModuleNotFoundError(f"the pydantic plugin is skipped: {conflict}", name="pydantic")
        from spanguard.instrumentation.pydantic.recompiling import SourceDiffersError  # noqa: PLC0415 - pydantic may be absent

        try:
            from spanguard.instrumentation.pydantic.patches import Patches  # noqa: PLC0415 - it may, or be another inside

            patches = Patches(error_types)
            patches.apply()
        except (SourceDiffersError, ImportError, AttributeError, LookupError) as error:
            raise ModuleNotFoundError(f"the pydantic plugin is skipped: {error}", name="pydantic") from error
        self._patches = patches

    def _uninstrument(self, **_: Any) -> None:
        if self._patches is not None:
            self._patches.remove()
            self._patches = None
