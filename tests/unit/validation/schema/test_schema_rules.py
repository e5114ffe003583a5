"""A schema out of a dictionary of rules."""

from __future__ import annotations

from typing import Any

import pytest

from spanguard.errors import ConfigurationError
from spanguard.validation import IntegerType, SchemaValidator, ValidationResult

PERSON: dict[str, Any] = {
    "email": {"type": "email", "required": True},
    "age": {"type": "integer", "minimum": 0},
    "tags": {"type": "list", "of": {"type": "string", "max_length": 5}},
    "address": {"type": "dict", "fields": {"zip": {"type": "string", "required": True}, "lines": "list"}},
}


def codes(result: ValidationResult[Any]) -> list[tuple[str, tuple[str | int, ...]]]:
    return [(problem.code, problem.path) for problem in result.errors]


def test_valid_data_come_out_typed_and_clean() -> None:
    result = SchemaValidator(PERSON).validate(
        {"email": "ada@example.com", "age": " 36 ", "tags": ["a\u200bb"], "address": {"zip": "1010", "lines": ["x"]}}
    )

    assert result.raise_for_errors().sanitized_value == {
        "email": "ada@example.com",
        "age": 36,
        "tags": ["ab"],
        "address": {"zip": "1010", "lines": ["x"]},
    }


def test_all_errors_are_told_with_their_paths() -> None:
    result = SchemaValidator(PERSON).validate(
        {"age": -1, "tags": ["a", "too long"], "address": {"lines": "none", "other": 1}, "more": 2}
    )

    assert result.sanitized_value is None
    assert sorted(codes(result), key=str) == sorted(
        [
            ("too_small", ("age",)),
            ("too_long", ("tags", 1)),
            ("not_a_list", ("address", "lines")),
            ("unknown_key", ("address", 1)),
            ("missing", ("address", "zip")),
            ("unknown_key", (3,)),
            ("missing", ("email",)),
        ],
        key=str,
    )


def test_a_key_that_is_not_required_may_be_missing() -> None:
    assert SchemaValidator({"a": {"type": "string"}}).validate({}).sanitized_value == {}


def test_a_default_stands_in_for_a_missing_key_and_is_new_each_time() -> None:
    validator = SchemaValidator({"a": {"type": "list", "default": ["x"]}, "b": {"type": "integer", "default": "7"}})

    first: Any = validator.validate({}).sanitized_value
    first["a"].append("y")

    assert validator.validate({}).sanitized_value == {"a": ["x"], "b": 7}


def test_null_is_valid_only_where_it_is_allowed() -> None:
    validator = SchemaValidator({"a": {"type": "integer", "nullable": True}, "b": {"type": "integer"}})

    assert codes(validator.validate({"a": None, "b": None})) == [("not_an_integer", ("b",))]


def test_values_of_free_keys_have_one_rule() -> None:
    validator = SchemaValidator({"counts": {"type": "dict", "values": {"type": "integer"}}})

    assert validator.validate({"counts": {"x": "1"}}).sanitized_value == {"counts": {"x": 1}}
    assert codes(validator.validate({"counts": {"x": "1", "y": "z"}})) == [("not_an_integer", ("counts", 1))]


def test_a_type_of_input_may_stand_for_a_rule() -> None:
    assert SchemaValidator({"a": IntegerType(minimum=3)}, kind="rules").validate({"a": 2}).errors[0].limit == 3


def test_a_dictionary_may_say_itself_what_becomes_of_its_unknown_keys() -> None:
    rules = {"free": {"type": "dict", "unknown_keys": "keep"}, "a": {"type": "string"}}

    result = SchemaValidator(rules).validate({"free": {"x": [1, "y\u200b"]}, "b": 1})

    assert codes(result) == [("unknown_key", (1,))]
    assert SchemaValidator(rules).validate({"free": {"x": [1, "y\u200b"]}}).sanitized_value == {"free": {"x": [1, "y"]}}


def test_all_that_is_wrong_with_rules_is_told_at_once_with_near_matches() -> None:
    with pytest.raises(ConfigurationError) as caught:
        SchemaValidator(
            {
                "a": {"type": "strng"},
                "b": {"type": "string", "max_lenth": 3},
                "c": {"type": "dict"},
                "d": {"type": "list", "of": {"type": "dict", "fields": {"x": {"type": "integr"}}}},
                "e": {"type": "integer", "required": "yes"},
                "f": {"type": "integer", "default": "x"},
                "g": {"type": "integer", "required": True, "default": 1},
                "h": {"type": "dict", "feilds": {}, "fields": {}},
                "i": {"type": "dict", "fields": {}, "unknown_keys": "burn"},
                "j": {"type": "integer", "minimum": 3, "maximum": 1},
                "k": {"type": "integer", "requird": True},
                "l": {"type": "list", "of": {"type": "integer", "required": True}},
            }
        )

    told = caught.value.problems
    assert [problem.split(":")[0] for problem in told] == [
        "a",
        "b",
        "c",
        "d.*.x",
        "e",
        "f",
        "g",
        "h",
        "i",
        "j",
        "k",
        "l.*",
    ]
    assert "did you mean 'string'" in told[0]
    assert "did you mean 'max_length'" in told[1]
    assert "did you mean 'integer'" in told[3]
    assert "did you mean 'fields'" in told[7]
    assert "did you mean 'required'" in told[10]
    assert "did you mean" not in told[11]


def test_rules_that_contain_themselves_are_refused() -> None:
    rules: dict[str, Any] = {"a": {"type": "dict"}, "b": {"type": "dict"}}
    rules["a"]["fields"] = rules["b"]["fields"] = rules

    with pytest.raises(ConfigurationError, match="contain themselves"):
        SchemaValidator(rules)


@pytest.mark.parametrize(
    "ambiguous",
    [{}, {"a": 1}, {"properties": {"a": {"type": "string"}}}, {"a": {"type": "string"}, "b": {"minimum": 1}}],
    ids=str,
)
def test_a_dictionary_that_may_be_rules_or_a_json_schema_is_refused(ambiguous: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="kind="):
        SchemaValidator(ambiguous)


@pytest.mark.parametrize("schema", [None, 3, "email", int, [{"type": "string"}], ...], ids=str)
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    with pytest.raises(ConfigurationError, match="must be a pydantic model"):
        SchemaValidator(schema)


def test_settings_that_are_wrong_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        SchemaValidator(
            PERSON,
            unknown_keys="dropp",  # type: ignore[arg-type]
            threats="blok",  # type: ignore[arg-type]
            max_depth=0,
            max_items=True,
            max_characters=-1,
            slow=0,
        )

    assert len(caught.value.problems) == 6
    assert "did you mean 'drop'" in caught.value.problems[0]
