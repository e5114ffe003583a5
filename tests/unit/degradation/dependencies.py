"""What a fallback stands in for, and a function that fails as well."""

from __future__ import annotations

from typing import Any


class Dependency:
    """Answers with what it was given, or raises what it was told to."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def ask(self, question: Any, **_: Any) -> Any:
        if self.error is not None:
            raise self.error
        return question

    async def ask_async(self, question: Any) -> Any:
        return self.ask(question)


def fail_too(*_: Any) -> Any:
    raise LookupError("not there either")
