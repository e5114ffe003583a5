"""Listen where validations fail: in the methods of pydantic that call its core, whose code is exchanged."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Collection, Iterator
from types import CodeType, FunctionType
from typing import Final

from pydantic import BaseModel, RootModel, TypeAdapter
from pydantic._internal import _dataclasses, _validate_call

from spanguard.instrumentation.pydantic.listener import Listener
from spanguard.instrumentation.pydantic.recompiling import recompile

_METHODS: Final = (
    (BaseModel, ("__init__", "model_validate", "model_validate_json", "model_validate_strings")),
    (RootModel, ("__init__",)),
    (TypeAdapter, ("validate_python", "validate_json", "validate_strings")),
    (_validate_call.ValidateCallWrapper, ("__call__",)),
)


class Patches:
    """The exchanged codes.

    Args:
        error_types: see `Listener`.
    """

    def __init__(self, error_types: Collection[str] = ()) -> None:
        self._listener = Listener(error_types)
        self._exchanged: list[tuple[FunctionType, CodeType, CodeType]] = []
        self._of_dataclasses: tuple[CodeType, CodeType] | None = None

    def apply(self) -> None:
        """Put the listener in.

        Raises:
            SourceDiffersError: pydantic's source is not at hand. Nothing was changed.
            AttributeError, KeyError: pydantic is another inside than in the versions known. Nothing was changed.
        """
        new = [(function, self._recompile(function.__code__)) for function in _methods()]
        maker = inspect.unwrap(_dataclasses.complete_dataclass)
        init = next(part for part in maker.__code__.co_consts if getattr(part, "co_name", None) == "__init__")
        new_init = self._recompile(init)
        parts = tuple(new_init if part is init else part for part in maker.__code__.co_consts)
        new.append((maker, maker.__code__.replace(co_consts=parts)))

        for function, code in new:
            self._exchanged.append((function, function.__code__, code))
            function.__code__ = code
        self._of_dataclasses = init, new_init
        _exchange_everywhere(init, new_init)

    def remove(self) -> None:
        """Give every function its own code back. One whose code somebody else has exchanged since falls silent instead."""
        self._listener.active = False
        for function, old, new in self._exchanged:
            if function.__code__ is new:
                function.__code__ = old
        self._exchanged.clear()
        if self._of_dataclasses is not None:
            init, new_init = self._of_dataclasses
            _exchange_everywhere(new_init, init)
            self._of_dataclasses = None
        # A code is not seen by the garbage collector: a circle through it would never go.
        self._listener.codes = []

    def _recompile(self, code: CodeType) -> CodeType:
        new = recompile(code, self._listener)
        self._listener.codes.append(new)
        return new


def _methods() -> Iterator[FunctionType]:
    for cls, names in _METHODS:
        for name in names:
            method = cls.__dict__[name]
            # Whoever has wrapped it calls it further on.
            yield inspect.unwrap(getattr(method, "__func__", method))


def _exchange_everywhere(old: CodeType, new: CodeType) -> None:
    """Give the new code to the `__init__` of each dataclass that exists; they are functions of their own with one code."""
    for function in gc.get_referrers(old):
        if isinstance(function, FunctionType) and function.__code__ is old:
            function.__code__ = new
