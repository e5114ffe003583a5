from __future__ import annotations

import json

import pytest

from spanguard.validation.sanitizers import MAX_JSON, MAX_JSON_DEPTH, clean_json, read_json


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ('{"a": [1, 2.50, true, null, "x"]}', '{"a":[1,2.5,true,null,"x"]}'),
        (' "x" ', '"x"'),
        ("1", "1"),
        ("-0", "0"),
        ("1e2", "100.0"),
        ("\ufeff[]", "[]"),
        ('"</script>&"', '"\\u003c/script\\u003e\\u0026"'),
        ('"a\\u0000b\\ud800c\\u202ed\\r\\ne"', '"abcd\\ne"'),
        ('"\\ud83d\\ude00 é"', '"😀 é"'),
        ('{"__proto__": {"x": 1}, "a": {"constructor": 1, "prototype": 2, "b": 3}}', '{"a":{"b":3}}'),
        ('{"__pro\\u200bto__": 1, "\\u005f_proto__ ": 2}', '{"__proto__ ":2}'),
        ("9223372036854775807", "9223372036854775807"),
    ],
)
def test_json_is_written_anew(text: str, clean: str) -> None:
    assert clean_json(text) == clean


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "not_json"),
        ("{'a': 1}", "not_json"),
        ("[1,]", "not_json"),
        ("[1] x", "not_json"),
        ('"a\nb"', "not_json"),
        ("[01]", "not_json"),
        ("// x\n1", "not_json"),
        ("NaN", "not_json"),
        ("[Infinity]", "not_json"),
        ('{"a":-Infinity}', "not_json"),
        ("\u0661", "not_json"),
        ("1e999", "too_large"),
        ("9223372036854775808", "too_large"),
        ("9" * 100_000, "too_large"),
        ("0." + "1" * 100_000, "too_large"),
        ('{"a":1,"a":2}', "duplicate_key"),
        ('{"a":1,"\\u0061":2}', "duplicate_key"),
        ('{"a":1,"a\\u200b":2}', "duplicate_key"),
        ('[[{"x":{"a":1,"a":1}}]]', "duplicate_key"),
        ("[" * 65 + "]" * 65, "too_deep"),
        ('{"a":' * 65 + "1" + "}" * 65, "too_deep"),
        ("[" * 100_000, "too_deep"),
        ('{"a":' * 100_000, "too_deep"),
        ('"' + "x" * MAX_JSON + '"', "too_long"),
    ],
)
def test_what_readers_would_read_differently_is_refused(text: str, code: str) -> None:
    result = read_json(text)
    assert [problem.code for problem in result.errors] == [code]
    assert clean_json(text) == "null"


@pytest.mark.parametrize("value", [None, b"{}", 1, ["[]"], object()])
def test_what_is_no_text_is_refused(value: object) -> None:
    assert read_json(value).errors[0].code == "wrong_type"  # type: ignore[arg-type]


def test_brackets_in_strings_are_not_deep() -> None:
    text = json.dumps(["[" * 100, 'a"[' * 100, "\\" + "{" * 100])
    assert read_json(text).is_valid


def test_the_greatest_depth_is_read() -> None:
    assert read_json("[" * MAX_JSON_DEPTH + "]" * MAX_JSON_DEPTH).is_valid


def test_a_dropped_key_is_told_once() -> None:
    warnings = read_json('[{"__proto__":1},{"__proto__":2},{"prototype":3}]').warnings
    assert [warning.code for warning in warnings] == ["unsafe_key", "unsafe_key"]


def test_no_problem_shows_the_input() -> None:
    result = read_json('{"secret":1,"secret":2}')
    assert "secret" not in repr(result)
