"""Calls that fail as they are told."""

from __future__ import annotations


class Dependency:
    """Fails with each of the errors in turn, then answers; counts its calls."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.calls = 0

    def __call__(self, *args: object) -> str:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        return f"answer{''.join(map(str, args))}"

    async def ask(self, *args: object) -> str:
        return self(*args)


def always(error: Exception) -> Dependency:
    """Fail each time, for as many calls as a test makes."""
    return Dependency(*[error] * 100)
