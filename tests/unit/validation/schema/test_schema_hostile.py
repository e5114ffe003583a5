"""Whatever the data are, a schema answers: in bounded time and memory, and never with the data themselves."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from spanguard.validation import SchemaValidator, ValidationResult
from spanguard.validation.schema.texts import Branch, Texts
from unit.validation.hostile import HANDS_OFF, HOSTILE, deep, refuse


class Model(BaseModel):
    a: Any = None
    text: str = ""
    number: int = 0
    at: datetime | None = None
    free: dict[str, Any] = {}


class Row(TypedDict, total=False):
    a: Any
    text: str
    number: int


FIELDS = {"text": {"type": "string"}, "number": {"type": "integer"}, "at": {"type": "datetime"}}
RULES: dict[str, Any] = {
    **FIELDS,
    "a": {"type": "list", "of": {"type": "dict", "unknown_keys": "keep"}},
    "free": {"type": "dict", "unknown_keys": "keep"},
}
JSON: dict[str, Any] = {
    "type": "object",
    "properties": {"a": True, "text": {"type": "string"}, "number": {"type": "integer"}, "free": {"type": "object"}},
}
SCHEMAS: dict[str, Any] = {"model": Model, "typed dict": Row, "rules": RULES, "JSON Schema": JSON}
VALIDATORS: dict[str, SchemaValidator] = {
    f"{name}, {unknown_keys}": SchemaValidator(schema, unknown_keys=unknown_keys)
    for name, schema in SCHEMAS.items()
    for unknown_keys in ("forbid", "drop", "keep")
}
FORBIDDING = [name for name in VALIDATORS if name.endswith("forbid")]


class Key(str):  # noqa: SLOT000 - an instance may have a dictionary
    __eq__ = __str__ = __repr__ = __len__ = refuse
    __hash__ = str.__hash__


class Book(dict[Any, Any]):
    locals().update(HANDS_OFF)
    items = keys = values = get = copy = refuse


class Endless(dict[Any, Any]):
    def items(self) -> Iterator[tuple[str, int]]:  # type: ignore[override]
        while True:
            yield "a", 1


def is_answer(result: object) -> bool:
    assert type(result) is ValidationResult
    assert result.is_valid is (not result.errors)
    return result.is_valid or result.sanitized_value is None


@pytest.mark.parametrize("value", HOSTILE)
def test_any_data_at_all_get_an_answer(value: str) -> None:
    made = HOSTILE[value]()
    for validator in VALIDATORS.values():
        assert is_answer(validator.validate(made))
        for field in ("a", "text", "number", "at", "free", "unknown"):
            assert is_answer(validator.validate({field: made}))
        assert is_answer(validator.validate({"a": [made], "free": {"b": made}}))


@pytest.mark.parametrize("name", VALIDATORS)
def test_a_dictionary_is_read_by_the_methods_of_dict_alone(name: str) -> None:
    validate = VALIDATORS[name].validate
    for data in (Book(number=1), Endless(number=1), OrderedDict(number=1), {Key("number"): 1}):
        result = validate(data)
        value = result.sanitized_value
        assert (value.number if isinstance(value, Model) else (value or {}).get("number")) == 1


@pytest.mark.parametrize("name", VALIDATORS)
@pytest.mark.parametrize("key", [1, None, b"a", (1, 2), 1.5, True], ids=str)
def test_a_key_that_is_no_text_is_refused(name: str, key: object) -> None:
    for data, path in (({"number": 1, key: 2}, (1,)), ({"free": {key: 2}}, ("free", 0))):
        problem = VALIDATORS[name].validate(data).errors[0]
        assert (problem.code, problem.path) in (("key_not_text", path), ("unknown_key", (0,)), ("key_not_text", (0, 0)))


@pytest.mark.parametrize("name", FORBIDDING)
def test_two_keys_that_look_the_same_are_refused(name: str) -> None:
    (problem,) = VALIDATORS[name].validate({"number": 1, "num\u200bber": 2}).errors
    assert (problem.code, problem.path) == ("duplicate_key", (1,))


@pytest.mark.parametrize(
    ("make", "code", "limit"),
    [
        (lambda: deep(100_000), "too_deep", 32),
        (lambda: [[]] * 1_000_000, "too_many_items", 10_000),
        (lambda: dict.fromkeys(map(str, range(1_000_000))), "too_many_items", 10_000),
        (lambda: _shared(30), "too_many_items", 10_000),
        (lambda: ["a" * 100_000] * 11, "too_long", 1_000_000),
        (lambda: {"a" * 1_000_001: 1}, "too_long", 1_000_000),
    ],
    ids=["deep", "long", "wide", "shared", "text", "key"],
)
def test_what_passes_a_limit_is_refused_with_the_limit(make: Callable[[], object], code: str, limit: int) -> None:
    data = {"a": make()}
    for name in FORBIDDING:
        problem = VALIDATORS[name].validate(data).errors[-1]
        assert (problem.code, problem.limit) == (code, limit)


def _shared(levels: int) -> list[Any]:
    """Return a list that is small in memory, and of 10 to the power of `levels` items for who follows it."""
    value: list[Any] = []
    for _ in range(levels):
        value = [value] * 10
    return value


@pytest.mark.parametrize("levels", [1, 7, 32])
def test_the_depth_that_is_allowed_is_reached_and_not_passed(levels: int) -> None:
    validator = SchemaValidator({}, kind="json_schema", max_depth=levels)
    assert validator.validate(deep(levels - 1)).is_valid
    assert not validator.validate(deep(levels)).is_valid


def test_the_items_and_characters_that_are_allowed_are_reached_and_not_passed() -> None:
    validator = SchemaValidator({}, kind="json_schema", max_items=5, max_characters=6, threats="off")
    assert validator.validate({"ab": [1, 2], "c": "def"}).is_valid
    assert not validator.validate({"ab": [1, 2, 3, 4], "c": 1}).is_valid
    assert not validator.validate({"ab": [1, 2], "c": "defg"}).is_valid


@pytest.fixture
def judged_texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The strings that are cleaned and looked at."""
    seen: list[str] = []
    judged = Texts.judged

    def watched(texts: Texts, text: str, branch: Branch | None) -> ValidationResult[str]:
        seen.append(text)
        return judged(texts, text, branch)

    monkeypatch.setattr(Texts, "judged", watched)
    return seen


def test_nothing_is_cleaned_or_looked_at_beyond_a_limit(judged_texts: list[str]) -> None:
    SchemaValidator({}, kind="json_schema", max_characters=3).validate(["ab", "cd", "ef"])
    assert judged_texts == ["ab"]


def test_nothing_is_looked_at_after_more_errors_than_are_told(judged_texts: list[str]) -> None:
    validator = SchemaValidator({}, kind="json_schema")
    validator.validate([*[b""] * 100, "seen", b"", "not seen"])
    assert judged_texts == ["seen"]


@pytest.mark.parametrize("name", FORBIDDING)
def test_of_many_problems_the_first_hundred_are_told(name: str) -> None:
    result = VALIDATORS[name].validate({f"key{number}": number for number in range(9_000)})
    assert len(result.errors) == 101
    assert result.errors[-1].code == "more_problems"


@pytest.mark.parametrize("name", VALIDATORS)
def test_no_problem_repeats_a_value_or_a_key_of_the_input(name: str) -> None:
    secret = "hunter2<script>alert(1)</script>"
    values: list[Any] = [secret, [secret], {secret: secret}, secret.encode(), {"hunter2": 1}, 4711, 47.11]
    for value in values:
        for data in (value, {"text": value}, {"number": value}, {"free": value, "a": value}, {"hunter2": value}):
            result = VALIDATORS[name].validate(data)
            told = repr(result.errors + result.warnings) + result.to_json()
            assert "hunter2" not in told
            assert "4711" not in told
            assert "47.11" not in told


def test_moments_and_identifiers_are_taken_for_a_model_and_not_for_a_json_schema() -> None:
    for value in (datetime(2026, 1, 1, tzinfo=UTC), uuid.UUID(int=1)):
        assert SchemaValidator(Model).validate({"a": value}).is_valid
        assert not SchemaValidator(JSON).validate({"a": value}).is_valid


@pytest.mark.parametrize("name", VALIDATORS)
@pytest.mark.parametrize(
    ("number", "code"),
    [(float("nan"), "not_finite"), (float("-inf"), "not_finite"), (10**1001, "too_large"), (-(10**1001), "too_large")],
    ids=["NaN", "infinity", "huge", "huge below zero"],
)
def test_a_number_that_is_not_finite_or_has_too_many_digits_is_refused(name: str, number: float, code: str) -> None:
    result = VALIDATORS[name].validate({"a": [{"b": number}]})
    assert [problem.code for problem in result.errors] == [code]


def test_a_number_of_a_thousand_digits_is_taken() -> None:
    assert SchemaValidator(Model).validate({"a": -(10**999)}).sanitized_value == Model(a=-(10**999))
