"""What schemas promise of any data at all."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from fuzz import FUZZ
from spanguard.validation import SchemaValidator, ValidationResult
from spanguard.validation.sanitizers.text import clean_text

pytestmark = pytest.mark.fuzz

RAW: Final = "hunter2"


class Leaf(BaseModel):
    n: Annotated[int, Field(ge=0)] | None = None
    s: Annotated[str, Field(max_length=9)] = ""


class Tree(BaseModel):
    leaf: Leaf | None = None
    leaves: list[Leaf] = []
    table: dict[str, Leaf] = {}
    below: Tree | None = None


LEAF_RULES: Final[dict[str, Any]] = {
    "n": {"type": "integer", "minimum": 0, "nullable": True},
    "s": {"type": "string", "max_length": 9},
}
LEAF_RULE: Final = {"type": "dict", "fields": LEAF_RULES}
RULES: Final[dict[str, Any]] = {
    "leaf": LEAF_RULE,
    "leaves": {"type": "list", "of": LEAF_RULE},
    "table": {"type": "dict", "values": LEAF_RULE},
    "below": {"type": "dict", "fields": {"leaf": LEAF_RULE}},
}
JSON_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "leaf": {"$ref": "#/$defs/leaf"},
        "leaves": {"type": "array", "items": {"$ref": "#/$defs/leaf"}, "uniqueItems": True},
        "table": {"type": "object", "additionalProperties": {"$ref": "#/$defs/leaf"}, "maxProperties": 3},
        "below": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
    },
    "$defs": {
        "leaf": {
            "type": "object",
            "properties": {"n": {"type": ["integer", "null"], "minimum": 0}, "s": {"type": "string", "maxLength": 9}},
        }
    },
}
KINDS: Final[dict[str, Any]] = {"model": Tree, "rules": RULES, "json_schema": JSON_SCHEMA}
VALIDATORS: Final = {
    (kind, unknown_keys): SchemaValidator(schema, unknown_keys=unknown_keys)
    for kind, schema in KINDS.items()
    for unknown_keys in ("forbid", "drop", "keep")
}

KEYS = st.sampled_from(["leaf", "leaves", "table", "below", "n", "s", f"{RAW}1", f"{RAW}2", f"{RAW}'", "\u200bn"])
TEXTS = st.sampled_from(["", RAW, f"{RAW}\u200b", f"<script>{RAW}</script>", f"{RAW}\ud800", "e\u0301", "12", "-1"])
SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.floats() | TEXTS
ODD = st.sampled_from([RAW.encode(), {RAW}, object(), 10**2000])
DATA = st.recursive(
    SCALARS | ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.integers(0, 1), inner, max_size=4),
    max_leaves=20,
)
LEAVES = st.dictionaries(st.sampled_from(["n", "s", RAW]), SCALARS, max_size=3)
NEAR = st.fixed_dictionaries(
    {},
    optional={
        "leaf": LEAVES,
        "leaves": st.lists(LEAVES, max_size=3),
        "table": st.dictionaries(KEYS, LEAVES, max_size=4),
        "below": st.none() | st.fixed_dictionaries({}, optional={"leaf": LEAVES, RAW: DATA}),
        RAW: DATA,
    },
)
ANY = DATA | NEAR
CHOSEN = st.sampled_from(list(VALIDATORS))


def plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {key: plain(item) for key, item in (value.__dict__ | (value.model_extra or {})).items()}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def strings_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (key, *strings_in(item))]
    if isinstance(value, list):
        return [text for item in value for text in strings_in(item)]
    return [value] if isinstance(value, str) else []


@FUZZ
@given(CHOSEN, ANY)
def test_any_data_get_an_answer_that_holds_nothing_of_them_but_the_value(chosen: tuple[str, str], data: Any) -> None:
    result = VALIDATORS[chosen].validate(data)

    assert type(result) is ValidationResult
    assert result.is_valid is (not result.errors)
    told = repr((result.errors, result.warnings))
    assert RAW not in told
    assert RAW not in result.to_json()
    json.loads(result.to_json())


@FUZZ
@given(CHOSEN, NEAR)
def test_what_comes_out_is_clean_and_comes_out_again_as_it_is(chosen: tuple[str, str], data: Any) -> None:
    result = VALIDATORS[chosen].validate(data)
    if not result:
        return
    value = result.sanitized_value

    assert all(clean_text(text) == text for text in strings_in(plain(value)))
    again = VALIDATORS[chosen].validate(plain(value))
    assert again.sanitized_value == value
    assert "cleaned" not in {problem.code for problem in again.warnings}


@FUZZ
@given(st.sampled_from(list(KINDS)), NEAR)
def test_data_whose_unknown_keys_were_dropped_have_none(kind: str, data: Any) -> None:
    dropped = VALIDATORS[kind, "drop"].validate(data)
    forbidden = VALIDATORS[kind, "forbid"].validate(data)

    if dropped:
        assert VALIDATORS[kind, "forbid"].validate(plain(dropped.sanitized_value)).is_valid
        assert {problem.code for problem in forbidden.errors} <= {"unknown_key"}
    if forbidden:
        assert dropped.sanitized_value == forbidden.sanitized_value


@FUZZ
@given(ANY)
def test_a_json_schema_says_what_another_implementation_says_of_the_clean_data(data: Any) -> None:
    read = SchemaValidator({}, kind="json_schema").validate(data)
    if not read:
        return

    expected = jsonschema.Draft202012Validator(JSON_SCHEMA).is_valid(read.sanitized_value)

    assert VALIDATORS["json_schema", "keep"].validate(data).is_valid is expected
