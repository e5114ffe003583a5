"""What the types of input promise of any value: an answer, and that what comes out is valid and comes out again."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fuzz import FUZZ
from spanguard.validation import (
    BooleanType,
    DatetimeType,
    FloatType,
    IntegerType,
    InvalidInputError,
    ListType,
    OptionalType,
    StringType,
    validate_user_input,
)

pytestmark = pytest.mark.fuzz

TEXT = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=60),
    st.text("ae<'\u0301\u0327\u200b\ud800\r\n\0 \u3000\x85\u1100\u1161", max_size=60),
    st.text("0123456789+-._eE \u0661\uff11nfaTZ:", max_size=40),
)
SCALAR = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.decimals(),
    st.binary(max_size=20),
    st.datetimes(timezones=st.one_of(st.none(), st.timezones())),
    st.dates(),
    TEXT,
)
ANYTHING = st.recursive(
    SCALAR,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=5), inner, max_size=3),
        st.sets(st.integers(), max_size=3),
    ),
    max_leaves=10,
)
POLICY = st.sampled_from(["off", "warn", "block"])
STRINGS = st.builds(
    StringType,
    min_length=st.integers(0, 3),
    max_length=st.integers(3, 70),
    max_bytes=st.one_of(st.none(), st.integers(0, 100)),
    pattern=st.sampled_from([None, r"\pL*", r"(?s).*", "[^<>]*"]),
    charset=st.sampled_from(["any", "ascii", "printable", "alphanumeric", "identifier", "digits"]),
    strip=st.booleans(),
    clean=st.booleans(),
    threats=POLICY,
    profile=st.sampled_from(["parameter", "prose"]),
)
SCALARS: st.SearchStrategy[Any] = st.one_of(
    STRINGS,
    st.builds(IntegerType, minimum=st.integers(-9, 0), maximum=st.integers(0, 9), strict=st.booleans()),
    st.builds(FloatType, allow_nan=st.booleans(), allow_infinity=st.booleans(), strict=st.booleans()),
    st.builds(FloatType, minimum=st.floats(-9, 0), maximum=st.floats(0, 9)),
    st.builds(BooleanType, strict=st.booleans()),
    st.sampled_from([DatetimeType(), DatetimeType(to_utc=True), DatetimeType(aware=False), DatetimeType(strict=True)]),
)
TYPES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.builds(ListType, of=inner, max_items=st.integers(1, 5), unique=st.booleans()),
        st.builds(OptionalType, of=inner, blank=st.booleans()),
    ),
    max_leaves=3,
)


def same(one: object, other: object) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    both_nan = isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other)
    return both_nan or (type(one) is type(other) and one == other)


@FUZZ
@given(TYPES, ANYTHING)
def test_any_value_gets_an_answer_that_agrees_with_itself(kind: Any, value: object) -> None:
    result = kind.validate(value)
    assert result.is_valid is bool(result) is (not result.errors)
    assert result.is_valid or result.sanitized_value is None
    assert result.to_json().startswith("{")
    if result.is_valid:
        assert result.raise_for_errors() is result
    else:
        with pytest.raises(InvalidInputError):
            result.raise_for_errors()


@FUZZ
@given(TYPES, ANYTHING)
def test_what_comes_out_is_valid_and_comes_out_again(kind: Any, value: object) -> None:
    once = kind.validate(value)
    if once.is_valid:
        again = kind.validate(once.sanitized_value)
        assert again.is_valid
        assert same(again.sanitized_value, once.sanitized_value)


@FUZZ
@given(STRINGS, TEXT)
@example(StringType(strip=True, threats="off"), " \u0301a\0 ")
def test_a_clean_text_keeps_its_rules(kind: StringType, text: str) -> None:
    result = kind.validate(text)
    if result.sanitized_value is None:
        return
    clean = result.sanitized_value
    assert kind.min_length <= len(clean) <= kind.max_length
    assert kind.max_bytes is None or len(clean.encode()) <= kind.max_bytes
    assert not kind.strip or clean == clean.strip()
    assert kind.charset == "any" or clean.isascii()
    assert not kind.clean or not set("\0\u200b\ud800\r") & set(clean)


@FUZZ
@given(TEXT)
def test_a_text_is_a_whole_number_if_it_is_plain_decimal_digits(text: str) -> None:
    stripped = text.strip(" \t\r\n")
    unsigned = stripped[1:] if stripped[:1] in {"+", "-"} else stripped
    is_plain = bool(unsigned) and set(unsigned) <= set("0123456789")
    result = IntegerType().validate(text)
    assert result.is_valid is is_plain
    assert not is_plain or result.sanitized_value == int(stripped)


@FUZZ
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_written_down_comes_back_as_itself(number: float) -> None:
    assert FloatType().validate(repr(number)).sanitized_value == number


@FUZZ
@given(
    st.datetimes(
        timezones=st.builds(timezone, st.integers(-1439, 1439).map(lambda minutes: timedelta(minutes=minutes)))
    ),
    st.sampled_from(["T", " ", "t"]),
)
def test_a_moment_written_down_comes_back_as_itself(moment: datetime, separator: str) -> None:
    clean = DatetimeType().validate(moment.isoformat(separator)).sanitized_value
    assert clean == moment
    assert clean is not None
    assert clean.utcoffset() == moment.utcoffset()


@FUZZ
@given(
    st.sampled_from(["string", "integer", "float", "boolean", "datetime", "list", "optional", "email", "url"]), ANYTHING
)
def test_the_public_face_answers_any_value(input_type: str, value: object) -> None:
    result = validate_user_input(value, input_type=input_type)
    assert result.is_valid is (not result.errors)
