"""What becomes of a validation that failed: it is counted, and nothing of its input is kept."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable
from types import CodeType, FrameType, TracebackType
from typing import Annotated, Any, Final, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic._internal._validate_call import ValidateCallWrapper
from pydantic_core.core_schema import ErrorType

from spanguard import semconv
from spanguard.telemetry import COUNTS
from spanguard.telemetry.error_types import OTHER
from spanguard.telemetry.internal import note_failure

MAX_MODELS: Final = 500
"""Distinct names of models that one process tells apart; models made at run time must not flood the metrics."""

MAX_NAME: Final = 200
"""Characters kept of a name: the one that pydantic makes of a union lists all its members."""

MAX_ERRORS: Final = 1000
"""Errors of one validation whose types are looked up, which takes as long as it took to find them; of more, none is."""

_PLUGIN_MODULES: Final = ("pydantic.plugin.", "logfire.")
"""Where the functions are defined that stand between a method of pydantic and its core if it has plugins of its own."""


class Listener:
    """Hears of every failed validation; raises nothing.

    Args:
        error_types: words for errors that are not pydantic's own and may stand in the metrics.

    Attributes:
        active: False once the plugin is off; a validation that is then still under way is not counted.
        codes: the codes that call `failed`.
    """

    listens_to: Final = ValidationError

    def __init__(self, error_types: Collection[str] = ()) -> None:
        self.active = True
        self.codes: list[CodeType] = []
        self._error_types = frozenset((*get_args(ErrorType), *error_types))
        self._models: set[str] = set()

    def failed(self, error: ValidationError, judge: Any) -> None:
        """Count a failure where it surfaces first.

        Args:
            error: as it was just caught, by a frame of one of the codes.
            judge: the first argument of that frame: a model or its class, an adapter, a validated function.
        """
        try:
            traceback = error.__traceback__
            if self.active and traceback is not None and not self._is_told_elsewhere(traceback, judge):
                model = self._name(judge, error)
                for kind in self._kinds(error):
                    COUNTS.add(
                        semconv.MODEL_FAILURES_METRIC,
                        {semconv.MODEL_NAME.key: model, semconv.ERROR_TYPE.key: kind},
                    )
        except Exception as failure:  # noqa: BLE001 - telemetry never breaks the call
            note_failure("pydantic", failure)

    def _is_told_elsewhere(self, traceback: TracebackType, judge: Any) -> bool:
        """Tell whether this very error was counted further inside, or its model will be once more further out."""
        inner = traceback.tb_next
        while inner is not None:
            if self._calls_us(inner.tb_frame):
                return True
            inner = inner.tb_next
        # Pydantic calls a model's own `__init__`, which then calls pydantic's: what that raises is part of the error
        # that the outer validation raises.
        frame: FrameType | None = traceback.tb_frame.f_back
        if getattr(type(judge), "__pydantic_custom_init__", False):
            while frame is not None and (_first_argument(frame) is judge or _is_plugin_wrapper(frame)):
                frame = frame.f_back
            return frame is not None and self._calls_us(frame)
        return False

    def _calls_us(self, frame: FrameType) -> bool:
        return any(frame.f_code is code for code in self.codes)

    def _name(self, judge: Any, error: ValidationError) -> str:
        name = _name_of(judge) or error.title
        name = name[:MAX_NAME]
        if name not in self._models:
            if len(self._models) >= MAX_MODELS:
                return OTHER
            self._models.add(name)
        return name

    def _kinds(self, error: ValidationError) -> Iterable[str]:
        if error.error_count() > MAX_ERRORS:
            return (OTHER,)
        details = error.errors(include_url=False, include_context=False, include_input=False)
        found = {detail["type"] for detail in details}
        return {kind if kind in self._error_types else OTHER for kind in found}


def _name_of(judge: Any) -> str | None:
    named: Any
    if isinstance(judge, TypeAdapter):
        named = judge._type  # noqa: SLF001 - pydantic has no public name for it
        if get_origin(named) is Annotated:
            named = named.__origin__
    elif isinstance(judge, ValidateCallWrapper):
        named = judge.schema_type
    else:
        named = judge if isinstance(judge, type) else type(judge)
    if not isinstance(named, type) and not inspect.isroutine(named):
        return None
    return named.__qualname__ if named.__module__ == "builtins" else f"{named.__module__}.{named.__qualname__}"


def _first_argument(frame: FrameType) -> object:
    code = frame.f_code
    return frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None


def _is_plugin_wrapper(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).startswith(_PLUGIN_MODULES)
