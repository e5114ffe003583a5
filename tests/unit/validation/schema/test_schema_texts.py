"""Strings at any depth are cleaned and looked at for threats; what is found is counted and told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from spanguard import semconv
from spanguard.errors import ConfigurationError
from spanguard.testing import Signals
from spanguard.validation import SchemaValidator

ATTACK = "<script>alert(document.cookie)</script>"


class Note(BaseModel):
    text: str


class Post(BaseModel):
    title: str
    notes: list[Note] = []


SCHEMAS: dict[str, Any] = {
    "model": Post,
    "rules": {
        "title": {"type": "string"},
        "notes": {"type": "list", "of": {"type": "dict", "fields": {"text": {"type": "string"}}}},
    },
    "JSON Schema": {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "notes": {"type": "array", "items": {"properties": {"text": {"type": "string"}}}},
        },
    },
}
DATA = {"title": "a", "notes": [{"text": "b"}, {"text": ATTACK}]}
each_kind = pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)


@each_kind
def test_a_threat_is_a_warning_with_the_path_of_its_field(schema: Any) -> None:
    result = SchemaValidator(schema).validate(DATA)

    assert result.is_valid
    assert [(problem.code, problem.path) for problem in result.warnings] == [("threat", ("notes", 1, "text"))]


@each_kind
def test_a_threat_that_is_blocked_is_an_error_beside_all_others(schema: Any) -> None:
    result = SchemaValidator(schema, threats="block").validate({**DATA, "title": 1})

    assert sorted(problem.path for problem in result.errors) == [("notes", 1, "text"), ("title",)]
    assert {problem.code for problem in result.errors} == {"threat", "not_a_string"}


@each_kind
def test_nothing_is_looked_for_if_it_is_off(schema: Any) -> None:
    assert SchemaValidator(schema, threats="off").validate(DATA).warnings == ()


@each_kind
def test_threats_in_keys_and_values_that_are_kept_are_found(schema: Any) -> None:
    validator = SchemaValidator(schema, unknown_keys="keep", threats="block")

    result = validator.validate({"title": "a", ATTACK: 1, "b": [{"c": ATTACK}]})

    assert [(problem.code, problem.path) for problem in result.errors] == [("threat", (1,)), ("threat", (2, 0, 0))]


@each_kind
def test_a_family_that_is_not_asked_for_is_not_found(schema: Any) -> None:
    assert SchemaValidator(schema, families=frozenset({"sql_injection"})).validate(DATA).warnings == ()


@pytest.mark.parametrize("field", ["notes.*.text", "*.*.text", "notes.*.*"])
@pytest.mark.parametrize("name", ["model", "JSON Schema"])
def test_a_field_may_have_a_policy_of_its_own(name: str, field: str) -> None:
    validator = SchemaValidator(SCHEMAS[name], threats="block", fields={field: {"threats": "off", "max_length": 50}})

    assert validator.validate(DATA).is_valid
    assert not validator.validate({**DATA, "title": ATTACK}).is_valid
    assert validator.validate({**DATA, "notes": [{"text": "a" * 51}]}).errors[0].code == "too_long"


def test_rules_have_the_policies_of_their_fields_themselves() -> None:
    rules = {"a": {"type": "string", "threats": "off"}, "b": {"type": "string"}, "c": "list"}
    validator = SchemaValidator(rules, kind="rules", threats="block")

    assert validator.validate({"a": ATTACK}).is_valid
    assert not validator.validate({"b": ATTACK}).is_valid
    assert not validator.validate({"c": [ATTACK]}).is_valid
    with pytest.raises(ConfigurationError, match="leave out fields"):
        SchemaValidator(rules, kind="rules", fields={"b": {}})


def test_a_wrong_option_of_a_field_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'threats'"):
        SchemaValidator(Post, fields={"title": {"threat": "off"}, "notes.*.text": {"profile": "poetry"}})


def test_a_validation_counts_once_and_tells_of_each_threat_with_its_field(signals: Signals) -> None:
    validator = SchemaValidator(Post)

    validator.validate({"title": "a"})
    validator.validate({"title": 1})
    validator.validate({**DATA, "title": ATTACK})
    SchemaValidator(Post, threats="block").validate(DATA)

    def counted(outcome: str, threat: str) -> float:
        return signals.increase(
            semconv.VALIDATION_CHECKS_METRIC.name,
            {
                semconv.VALIDATION_TYPE.key: "schema",
                semconv.VALIDATION_OUTCOME.key: outcome,
                semconv.VALIDATION_THREAT.key: threat,
            },
        )

    assert counted("valid", "none") == 1
    assert counted("invalid", "none") == 1
    assert counted("valid", "xss") == 1
    assert counted("threat", "xss") == 1
    events = signals.events(semconv.VALIDATION_THREAT_EVENT.name)
    paths = [event.attributes[semconv.VALIDATION_PATH.key] for event in events]
    assert paths == ["title", "notes.1.text", "notes.1.text"]
    assert "cookie" not in repr(events)


@each_kind
def test_a_child_of_a_fork_validates_too(schema: Any, in_child: Callable[[Callable[[], object]], str]) -> None:
    validator = SchemaValidator(schema)
    validator.validate(DATA)

    assert in_child(lambda: [problem.code for problem in validator.validate(DATA).warnings]) == "['threat']"
