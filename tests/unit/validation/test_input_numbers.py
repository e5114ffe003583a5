from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from spanguard.errors import ConfigurationError
from spanguard.validation import FloatType, IntegerType
from unit.validation.hostile import Level, Real, Whole


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (42, 42),
        (-7, -7),
        ("42", 42),
        ("+42", 42),
        ("-0", 0),
        (" 42\r\n", 42),
        ("007", 7),
        (10**400, 10**400),
        ("9" * 999, int("9" * 999)),
        (Level.HIGH, 3),
    ],
)
def test_a_whole_number_comes_out_as_an_int(value: object, number: int) -> None:
    clean = IntegerType().validate(value).sanitized_value
    assert type(clean) is int
    assert clean == number


@pytest.mark.parametrize(
    "value",
    [
        True, False, "1_000", "4.0", 4.0, "4e2", "", " ", "+", "-", "--4", "+-4", "4 2", "\u00b2", "\u0664", "\uff14", "0x1f", "1,000",
        "\u00a042", "42\0", b"42", None, [], "NaN", "4\ud800",
    ],
)  # fmt: skip
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    assert [problem.code for problem in IntegerType().validate(value).errors] == ["not_an_integer"]


@pytest.mark.parametrize("kind", [IntegerType(), FloatType()])
def test_a_text_of_more_digits_than_a_number_may_have_is_not_read(kind: IntegerType | FloatType) -> None:
    assert [problem.code for problem in kind.validate("9" * 1_001).errors] == ["too_long"]


@pytest.mark.parametrize(
    ("kind", "make", "number"),
    [
        (IntegerType(), lambda: Whole(7), 7),
        (FloatType(), lambda: Whole(7), 7.0),
        (FloatType(), lambda: Real(1.5), 1.5),
    ],
)
def test_a_subclass_of_a_number_comes_out_as_a_plain_one(
    kind: IntegerType | FloatType, make: Callable[[], object], number: float
) -> None:
    clean = kind.validate(make()).sanitized_value
    assert type(clean) is type(number)
    assert clean == number


@pytest.mark.parametrize("kind", [IntegerType(minimum=-2, maximum=3), FloatType(minimum=-2, maximum=3)])
def test_the_bounds_of_a_number_are_themselves_valid(kind: IntegerType | FloatType) -> None:
    assert [kind.validate(value).is_valid for value in (-3, -2, 3, 4, "-3", "-2", "3", "4")] == [
        False, True, True, False, False, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [IntegerType(minimum=0, maximum=9), FloatType(minimum=0, maximum=9)])
def test_a_number_out_of_bounds_is_refused_with_the_limit(kind: IntegerType | FloatType) -> None:
    [small], [large] = kind.validate(-1).errors, kind.validate(10).errors
    assert (small.code, small.limit, large.code, large.limit) == ("too_small", 0, "too_large", 9)


@pytest.mark.parametrize("kind", [IntegerType(strict=True), FloatType(strict=True)])
def test_a_strict_number_is_no_text(kind: IntegerType | FloatType) -> None:
    assert [kind.validate(value).is_valid for value in (4, "4")] == [True, False]


@pytest.mark.parametrize(
    ("value", "number"),
    [(1.5, 1.5), (4, 4.0), ("12.5", 12.5), (".5", 0.5), ("5.", 5.0), ("-1e6", -1e6), (" 1 ", 1.0)],
)  # fmt: skip
def test_a_number_comes_out_as_a_float(value: object, number: float) -> None:
    clean = FloatType().validate(value).sanitized_value
    assert type(clean) is float
    assert clean == number


@pytest.mark.parametrize(
    "value",
    [True, "1_0.0", "0x1p3", "", "1,5", "1.5.2", "\u0661", "\uff11", "\u00a01", b"1", None, 1j, "1\0", "1\ud800"],
)
def test_what_is_no_number_is_refused(value: object) -> None:
    assert [problem.code for problem in FloatType().validate(value).errors] == ["not_a_number"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "nan", "-NaN", "inf", "Infinity", "1e999", 10**400])
def test_what_is_not_finite_is_refused(value: object) -> None:
    assert [problem.code for problem in FloatType().validate(value).errors] == ["not_finite"]


def test_nan_and_infinity_can_be_let_in() -> None:
    nan = FloatType(allow_nan=True).validate("nan").sanitized_value
    assert nan is not None
    assert math.isnan(nan)
    endless = FloatType(allow_infinity=True)
    assert (endless.validate("1e999").sanitized_value, endless.validate(-math.inf).sanitized_value) == (
        math.inf,
        -math.inf,
    )
    assert not endless.validate(math.nan)
    assert not FloatType(allow_infinity=True, maximum=5).validate(math.inf)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        (IntegerType, {"minimum": 1.0}, "minimum is 1.0; it must be a whole number, or None"),
        (IntegerType, {"maximum": True}, "maximum is True"),
        (IntegerType, {"minimum": 3, "maximum": 2}, "minimum is 3, above maximum, which is 2"),
        (IntegerType, {"strict": "yes"}, "strict is 'yes'"),
        (FloatType, {"minimum": math.nan}, "minimum is nan; it must be a finite number"),
        (FloatType, {"maximum": math.inf}, "maximum is inf"),
        (FloatType, {"maximum": "3"}, "maximum is '3'"),
        (FloatType, {"minimum": 3, "maximum": 2}, "minimum is 3, above maximum, which is 2"),
        (FloatType, {"allow_nan": 1}, "allow_nan is 1"),
        (FloatType, {"allow_infinity": 1}, "allow_infinity is 1"),
        (FloatType, {"allow_nan": True, "minimum": 0}, "NaN is within no limits"),
    ],
)
def test_an_option_of_a_number_that_is_wrong_is_named(kind: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind(**options)
    assert words in str(caught.value)


def test_a_bound_may_be_greater_than_any_float() -> None:
    assert FloatType(maximum=10**400).validate(1e308)
