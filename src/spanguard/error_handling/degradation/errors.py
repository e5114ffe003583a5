"""What is raised where a call failed and the fallback failed too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from spanguard.errors import SpanguardError, notes_of


class FallbackFailedError(SpanguardError, ExceptionGroup[Exception]):
    """The call failed, and so did what should have stood in for it. It holds all these errors.

    `except*` catches each by its class. `exceptions` holds the call's own error first, then those of the fallbacks in
    the order in which they were tried. If no fallback failed because none had an answer, the call's own error is raised
    as it is.

    Attributes:
        name: the policy's name.
    """

    name: str

    def __new__(cls, name: str, errors: Sequence[Exception]) -> Self:
        """Make the group."""
        made = super().__new__(cls, f"degradation {name!r}: the call failed, and so did its fallback", errors)
        made.name = name
        return made

    def __init__(self, name: str, errors: Sequence[Exception]) -> None:
        super().__init__(name, errors)

    def derive(self, errors: Sequence[Exception]) -> FallbackFailedError:  # type: ignore[override]  # of Exception only
        """Return a part of it, as `split` and `except*` ask for."""
        return type(self)(self.name, errors)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.name, self.exceptions), notes_of(self)
