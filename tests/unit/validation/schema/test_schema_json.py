"""A schema out of a JSON Schema."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from spanguard.errors import ConfigurationError
from spanguard.validation import SchemaValidator, ValidationResult

TREE: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 5}, "node": {"$ref": "#/$defs/node"}},
    "required": ["name"],
    "$defs": {"node": {"properties": {"n": {"type": "integer"}, "next": {"$ref": "#/$defs/node"}}}},
}


def codes(result: ValidationResult[Any]) -> list[tuple[str, tuple[str | int, ...]]]:
    return sorted([(problem.code, problem.path) for problem in result.errors], key=str)


def of(schema: Any, data: Any, **settings: Any) -> ValidationResult[Any]:
    return SchemaValidator(schema, kind="json_schema", **settings).validate(data)


def test_valid_data_come_out_clean() -> None:
    assert of(TREE, {"name": "A\u200bda", "node": {"n": 1}}).sanitized_value == {"name": "Ada", "node": {"n": 1}}


def test_all_errors_are_told_in_our_words_with_paths_that_show_no_raw_key() -> None:
    data = {"node": {"n": "raw", "next": {"n": 1.5, "raw": 1}}, "raw": 2}

    result = of(TREE, data)

    assert codes(result) == [
        ("missing", ("name",)),
        ("not_an_integer", ("node", "n")),
        ("not_an_integer", ("node", "next", "n")),
        ("unknown_key", ("node", "next", 1)),
        ("unknown_key", (1,)),
    ]
    assert "raw" not in repr(result)


def test_unknown_keys_are_dropped_or_kept_at_any_depth() -> None:
    data = {"name": "Ada", "node": {"next": {"x": 1}}, "y": "z\u200b"}

    assert of(TREE, data, unknown_keys="drop").sanitized_value == {"name": "Ada", "node": {"next": {}}}
    assert of(TREE, data, unknown_keys="keep").sanitized_value == {"name": "Ada", "node": {"next": {"x": 1}}, "y": "z"}


def test_the_data_that_came_in_are_not_changed() -> None:
    data = {"name": "Ada", "y": ["z\u200b"]}

    of(TREE, data, unknown_keys="drop")

    assert data == {"name": "Ada", "y": ["z\u200b"]}


@pytest.mark.parametrize(
    ("schema", "known", "unknown"),
    [
        ({"allOf": [{"properties": {"a": True}}, {"properties": {"b": True}}]}, {"a": 1, "b": 1}, {"c": 1}),
        ({"oneOf": [{"properties": {"a": True}, "required": ["a"]}, {"type": "null"}]}, {"a": 1}, {"a": 1, "c": 1}),
        ({"properties": {"a": True}, "patternProperties": {"^x-": {}}}, {"x-b": 1}, {"y-b": 1}),
        ({"properties": {"a": True}, "if": {"properties": {"b": {"const": 1}}}}, {"b": 1}, {"c": 1}),
        ({"properties": {"a": {"items": {"properties": {"b": True}}}}}, {"a": [{"b": 1}]}, {"a": [{"c": 1}]}),
        ({"properties": {"a": {"prefixItems": [{"properties": {"b": True}}]}}}, {"a": [{"b": 1}]}, {"a": [{"c": 1}]}),
        ({"properties": {"a": True}, "dependentSchemas": {"a": {"properties": {"b": True}}}}, {"b": 1}, {"c": 1}),
        ({"$id": "http://a.example/", "$anchor": "t", "properties": {"a": {"$ref": "#t"}}}, {"a": {"a": {}}}, {"a": {"b": 1}}),
        (
            {
                "$id": "http://a.example/",
                "properties": {"a": {"$id": "http://b.example/", "$ref": "#/$defs/x", "$defs": {"x": {"properties": {"b": {}}}}}},
            },
            {"a": {"b": 1}},
            {"a": {"c": 1}},
        ),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"x": {"properties": {"b": {}}}},
             "properties": {"a": {"$ref": "#/definitions/x"}}},
            {"a": {"b": 1}},
            {"a": {"c": 1}},
        ),
        ({"properties": {"a/properties/b": True, "a": {"properties": {"c": {}}}}}, {"a": {"c": 1}}, {"a": {"b": 1}}),
        ({"properties": {"a": True}, "additionalProperties": {"properties": {"b": True}}}, {"z": {"b": 1}}, {"z": {"c": 1}}),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_a_key_is_known_if_any_part_of_the_schema_that_may_apply_names_it(
    schema: Any, known: Any, unknown: Any
) -> None:
    assert of(schema, known).is_valid
    assert [code for code, _ in codes(of(schema, unknown))] == ["unknown_key"]


def test_a_name_that_looks_like_the_way_to_another_is_not_taken_for_it() -> None:
    schema = {
        "properties": {
            "a": {"properties": {"b": {"properties": {"x": True}}}},
            "a/properties/b": {"properties": {"y": True}},
        }
    }

    assert of(schema, {"a": {"b": {"x": 1}}, "a/properties/b": {"y": 1}}).is_valid
    assert codes(of(schema, {"a": {"b": {"y": 1}}, "a/properties/b": {"x": 1}})) == [
        ("unknown_key", ("a", "b", "y")),
        ("unknown_key", ("a/properties/b", "x")),
    ]


def test_an_object_of_which_no_key_is_named_may_have_any() -> None:
    assert of({"properties": {"free": {"type": "object"}}}, {"free": {"a": {"b": 1}}}).is_valid


def test_a_schema_that_forbids_other_keys_itself_does_so_also_where_they_are_kept() -> None:
    schema = {"properties": {"a": True}, "additionalProperties": False}

    assert codes(of(schema, {"a": 1, "b": 1}, unknown_keys="keep")) == [("unknown_key", (1,))]
    assert codes(of(schema, {"a": 1, "b": 1})) == [("unknown_key", (1,))]
    assert of(schema, {"a": 1, "b": 1}, unknown_keys="drop").sanitized_value == {"a": 1}


@pytest.mark.parametrize(
    ("schema", "value", "code", "limit"),
    [
        ({"type": ["string", "null"]}, 1, "wrong_type", "null, string"),
        ({"type": "array"}, 1, "not_a_list", None),
        ({"type": "object"}, 1, "not_a_dict", None),
        ({"type": "boolean"}, 1, "not_a_boolean", None),
        ({"type": "integer"}, True, "not_an_integer", None),
        ({"enum": ["a", 1]}, "raw", "not_one_of", "'a', 1"),
        ({"enum": [["a"]]}, "raw", "not_one_of", None),
        ({"const": "a"}, "raw", "not_one_of", "'a'"),
        ({"minimum": 2}, 1, "too_small", 2),
        ({"exclusiveMaximum": 2.5}, 2.5, "too_large", 2.5),
        ({"multipleOf": 2}, 3, "not_a_multiple", 2),
        ({"minLength": 4}, "raw", "too_short", 4),
        ({"pattern": "^a$"}, "raw", "bad_pattern", "^a$"),
        ({"format": "email"}, "raw", "not_an_email", "email"),
        ({"format": "email"}, "Raw <raw@example.com>", "not_an_email", "email"),
        ({"format": "date-time"}, "raw", "not_a_datetime", "date-time"),
        ({"format": "ipv4"}, "raw", "wrong_format", "ipv4"),
        ({"maxItems": 1}, [1, 2], "too_many_items", 1),
        ({"uniqueItems": True}, [1, 1], "repeated", None),
        ({"contains": {"type": "string"}}, [1], "too_few_items", None),
        ({"minProperties": 1}, {}, "too_few_items", 1),
        ({"propertyNames": {"maxLength": 1}}, {"raw": 1}, "bad_key", None),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, 1, "no_alternative_fits", None),
        ({"oneOf": [True, True]}, 1, "no_alternative_fits", None),
        ({"not": {"type": "integer"}}, 1, "not_allowed", None),
        (False, 1, "not_allowed", None),
    ],
    ids=str,
)
def test_each_keyword_has_a_code_and_its_limit_and_never_the_value(
    schema: Any, value: Any, code: str, limit: Any
) -> None:
    (problem,) = of(schema, value).errors

    assert (problem.code, problem.limit) == (code, limit)
    assert "raw" not in repr(problem)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "objekt"}, "at type"),
        ({"minLength": -1}, "at minLength"),
        ({"pattern": "(?=a)b"}, "linear engine"),
        ({"pattern": "(a)\\1"}, "linear engine"),
        ({"pattern": "(a{1000}){1000}"}, "linear engine"),
        ({"patternProperties": {"(?!a)": {}}}, "linear engine"),
        ({"format": "emial"}, "emial"),
        ({"$ref": "https://example.com/schema.json"}, "Retrieval is disabled"),
        ({"$ref": "file:///etc/hostname"}, "Retrieval is disabled"),
        ({"properties": {"a": {"$ref": "https://example.com/"}}}, "Retrieval is disabled"),
        ({"$ref": "#/nowhere"}, "nowhere"),
        ({"$schema": "https://example.com/own"}, "example.com"),
        ({1: 2}, "must be text"),
        ({"enum": {1, 2}}, "no JSON Schema"),
        ({"const": object}, "no JSON Schema"),
    ],
    ids=str,
)
def test_a_bad_schema_is_refused_when_it_is_given(schema: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        SchemaValidator(schema, kind="json_schema")


def test_a_schema_that_only_refers_to_itself_ends() -> None:
    assert of({"$ref": "#"}, {"a": 1}).is_valid
    assert of(
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, {"x": 1}
    ).is_valid


def test_a_change_of_the_schema_afterwards_changes_nothing() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "integer"}}}
    validator = SchemaValidator(schema)

    schema["properties"]["a"]["type"] = "string"
    schema["properties"]["b"] = {}

    assert validator.validate({"a": 1}).is_valid
    assert codes(validator.validate({"a": 1, "b": 1})) == [("unknown_key", (1,))]


@pytest.mark.parametrize("schema", [{"$schema": "https://json-schema.org/draft/2020-12/schema"}, {"type": "object"}])
def test_a_dictionary_is_a_json_schema_if_it_says_so(schema: Any) -> None:
    assert "json_schema" in repr(SchemaValidator(schema))


def test_threads_that_use_a_new_schema_at_once_get_the_same_answers() -> None:
    data = {"name": "Ada", "node": {"next": {"next": {"n": 1, "x": 1}}}, "y": 1}
    expected = of(TREE, data)
    for _ in range(20):
        validator = SchemaValidator(TREE)
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(validator.validate, [data] * 16)) == {expected}
