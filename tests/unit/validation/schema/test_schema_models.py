"""A schema out of a pydantic model or a TypedDict."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, get_args

import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, field_validator
from pydantic_core.core_schema import ErrorType
from typing_extensions import TypedDict

from spanguard.errors import ConfigurationError
from spanguard.validation import SchemaValidator, ValidationResult
from spanguard.validation.schema.models import _PROBLEMS


class Address(BaseModel):
    model_config = ConfigDict(extra="allow")
    zip_code: str = Field(alias="zip", max_length=5)


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


class Person(BaseModel):
    name: str
    age: Annotated[int, Field(ge=0)] = 0
    address: Address | None = None
    counts: dict[str, int] = {}
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    either: int | Address | None = None
    at: datetime | None = None

    @field_validator("name")
    @classmethod
    def _is_not_secret(cls, value: str) -> str:
        if "secret" in value:
            raise ValueError(f"{value} is a secret")
        return value


class Row(TypedDict, total=False):
    name: str
    person: Person


def codes(result: ValidationResult[Any]) -> list[tuple[str, tuple[str | int, ...]]]:
    return [(problem.code, problem.path) for problem in result.errors]


def test_a_model_comes_out_as_its_instance() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)

    value = (
        SchemaValidator(Person).validate({"name": "A\u200bda", "address": {"zip": "1010"}, "at": at}).sanitized_value
    )

    assert type(value) is Person
    assert value.model_dump() == Person(name="Ada", address=Address(zip="1010"), at=at).model_dump()


def test_a_typed_dict_comes_out_as_a_dictionary() -> None:
    assert SchemaValidator(Row).validate({"name": "Ada"}).sanitized_value == {"name": "Ada"}


def test_all_errors_are_told_in_our_words_with_paths_that_show_no_raw_key() -> None:
    result = SchemaValidator(Person).validate(
        {
            "name": b"raw",
            "age": -1,
            "address": {"zip": "too long", "hidden": 1},
            "counts": {"hidden": "x"},
            "pet": {"kind": "cat"},
            "either": {"zip": 1},
            "hidden": 2,
        }
    )

    assert sorted(codes(result), key=str) == sorted(
        [
            ("unsupported_type", ("name",)),
            ("too_small", ("age",)),
            ("too_long", ("address", "zip")),
            ("unknown_key", ("address", 1)),
            ("not_an_integer", ("counts", 0)),
            ("missing", ("pet", "lives")),
            ("not_an_integer", ("either",)),
            ("not_a_string", ("either", "zip")),
            ("unknown_key", (6,)),
        ],
        key=str,
    )


def test_the_message_of_a_validator_which_may_hold_the_value_is_not_told() -> None:
    result = SchemaValidator(Person).validate({"name": "my secret"})

    assert codes(result) == [("refused", ("name",))]
    assert "my secret" not in repr(result)


def test_the_tag_of_a_union_which_came_with_the_input_is_not_told() -> None:
    result = SchemaValidator(Person).validate({"name": "a", "pet": {"kind": "hidden"}})

    assert codes(result) == [("not_one_of", ("pet",))]
    assert "hidden" not in repr(result)


@pytest.mark.parametrize("schema", [Person, Row])
def test_the_policy_for_unknown_keys_holds_at_any_depth_whatever_the_model_says(schema: type[Any]) -> None:
    inner = {"name": "Ada", "address": {"zip": "1010", "more": "x\u200b"}, "other": 1}
    data = {"name": "Ada", "person": inner, "other": 1} if schema is Row else inner
    way = ("person",) if schema is Row else ()

    forbidden = SchemaValidator(schema).validate(data)
    dropped: Any = SchemaValidator(schema, unknown_keys="drop").validate(data).sanitized_value
    kept: Any = SchemaValidator(schema, unknown_keys="keep").validate(data).sanitized_value

    assert (*way, "address", 1) in [path for _, path in codes(forbidden)]
    assert (2,) in [path for _, path in codes(forbidden)]
    dropped_person = dropped["person"] if schema is Row else dropped
    kept_person = kept["person"] if schema is Row else kept
    assert (dropped_person.model_extra, dropped_person.address.model_extra) == (None, None)
    assert (kept_person.model_extra, kept_person.address.model_extra) == ({"other": 1}, {"more": "x"})


def test_aliases_are_names_of_the_schema() -> None:
    class Aliased(BaseModel):
        a: int = Field(validation_alias=AliasChoices("first", AliasPath("outer", "second")))

    assert SchemaValidator(Aliased).validate({"outer": {"second": 1}}).is_valid
    assert codes(SchemaValidator(Aliased).validate({"first": "x"})) == [("not_an_integer", ("first",))]
    assert codes(SchemaValidator(Aliased).validate({"outer": {"second": "x"}}))[0] == (
        "not_an_integer",
        ("outer", "second"),
    )


def test_bytes_are_no_text() -> None:
    assert codes(SchemaValidator(Person).validate({"name": b"Ada"})) == [("unsupported_type", ("name",))]


@pytest.mark.parametrize("pattern", [re.compile("^(a+)+$"), "python-re"], ids=["compiled", "engine"])
def test_a_pattern_that_may_take_exponential_time_is_refused(pattern: Any) -> None:
    class Slow(BaseModel):
        model_config = ConfigDict(regex_engine="rust-regex" if isinstance(pattern, re.Pattern) else "python-re")
        a: str = Field(pattern=pattern)

    with pytest.raises(ConfigurationError, match="exponential"):
        SchemaValidator(Slow)


class Unusable:
    pass


class Odd(TypedDict):
    a: Unusable


class Unfinished(TypedDict):
    a: NoSuchName  # type: ignore[name-defined]  # noqa: F821


class UnfinishedModel(BaseModel):
    a: NoSuchName  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize("schema", [Odd, Unfinished, UnfinishedModel])
def test_what_pydantic_cannot_use_is_refused(schema: type[Any]) -> None:
    with pytest.raises(ConfigurationError, match="pydantic refuses"):
        SchemaValidator(schema)


def test_every_error_that_is_translated_is_one_that_pydantic_has() -> None:
    of_later_versions = {"string_not_ascii", "deque_type"}

    assert set(_PROBLEMS) - of_later_versions <= set(get_args(ErrorType))


def test_a_kind_that_the_schema_is_not_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="change one of them"):
        SchemaValidator(Person, kind="rules")
    with pytest.raises(ConfigurationError, match="change one of them"):
        SchemaValidator({"type": "object"}, kind="model")
