"""Whatever the value is, a type of input answers, and never with the value itself."""

from __future__ import annotations

from typing import Any

import pytest

from spanguard.validation import InputType, ValidationResult, make_type
from unit.validation.hostile import HOSTILE

KINDS: dict[str, InputType[Any]] = {
    "string": make_type("string"),
    "string with rules": make_type(
        "string", {"max_length": 1_000_000, "max_bytes": 9, "pattern": "(a|b)+", "charset": "ascii", "strip": True}
    ),
    "raw string": make_type("string", {"clean": False, "threats": "block"}),
    "integer": make_type("integer", {"minimum": 0, "maximum": 9}),
    "float": make_type("float", {"minimum": 0}),
    "lax float": make_type("float", {"allow_nan": True, "allow_infinity": True}),
    "boolean": make_type("boolean"),
    "datetime": make_type("datetime", {"to_utc": True}),
    "naive datetime": make_type("datetime", {"aware": False}),
    "list": make_type("list", {"unique": True}),
    "list of lists": make_type("list", {"of": {"type": "list", "of": "integer"}}),
    "optional": make_type("optional", {"of": "datetime", "blank": True}),
}


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("kind", KINDS)
def test_any_value_at_all_gets_an_answer(kind: str, value: str) -> None:
    result = KINDS[kind].validate(HOSTILE[value]())
    assert type(result) is ValidationResult
    assert result.is_valid is (not result.errors)
    assert result.is_valid or result.sanitized_value is None


@pytest.mark.parametrize("kind", KINDS)
def test_no_problem_repeats_the_value(kind: str) -> None:
    secrets = ["hunter2secret", "4711.0815x", "<script>hunter2()</script>", "hunter2\0\ud800"]
    for secret in secrets:
        for value in (secret, [secret], [[secret]], secret.encode("utf-8", "surrogatepass"), {secret: secret}):
            result = KINDS[kind].validate(value)
            told = f"{result!r} {result} {result.to_json()} {result.errors} {result.warnings}"
            assert "hunter2" not in told
            assert "4711" not in told
