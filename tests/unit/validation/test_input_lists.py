from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spanguard.errors import ConfigurationError
from spanguard.validation import IntegerType, ListType, OptionalType, Problem, StringType
from spanguard.validation.inputs.collections import MAX_PROBLEMS
from unit.validation.hostile import Pair, Row, cyclic, deep

numbers = ListType(of=IntegerType(minimum=0))


@pytest.mark.parametrize("make", [list, tuple, Row, Pair])
def test_a_list_or_a_tuple_comes_out_as_a_list_of_clean_values(make: Callable[[list[object]], object]) -> None:
    clean = numbers.validate(make(["1", 2])).sanitized_value
    assert type(clean) is list
    assert clean == [1, 2]


@pytest.mark.parametrize("value", ["12", b"12", {1, 2}, {1: 2}, range(2), iter([1]), None, 7])
def test_what_is_no_list_is_refused(value: object) -> None:
    assert [problem.code for problem in numbers.validate(value).errors] == ["not_a_list"]


def test_what_is_wrong_with_an_item_is_told_with_its_place() -> None:
    table = ListType(of=numbers)
    result = table.validate([[1], [2, "x", -1]])
    assert (result.is_valid, result.sanitized_value) == (False, None)
    assert [(problem.code, problem.path) for problem in result.errors] == [
        ("not_an_integer", (1, 1)),
        ("too_small", (1, 2)),
    ]
    assert str(result.errors[1]) == "1.2: It must be at least 0."


def test_warnings_of_items_are_told_with_their_place() -> None:
    [warning] = ListType().validate(["fine", "a\0"]).warnings
    assert (warning.code, warning.path) == ("cleaned", (1,))


def test_the_bounds_of_the_number_of_items_are_themselves_valid() -> None:
    kind = ListType(of=IntegerType(), min_items=1, max_items=2)
    assert [kind.validate([1] * count).is_valid for count in range(4)] == [False, True, True, False]
    assert [kind.validate([1] * count).errors[0][:4:3] for count in (0, 3)] == [
        ("too_few_items", 1),
        ("too_many_items", 2),
    ]


def test_of_a_list_that_is_too_long_no_item_is_looked_at() -> None:
    class Looked:
        name = "looked"

        def validate(self, value: object) -> Any:
            raise AssertionError(value)

    assert not ListType(of=Looked(), max_items=2).validate([1, 2, 3])


def test_after_so_many_errors_the_rest_of_a_list_is_not_looked_at() -> None:
    seen: list[object] = []

    class Counting:
        name = "counting"

        def validate(self, value: object) -> Any:
            seen.append(value)
            return IntegerType().validate(value)

    assert len(ListType(of=Counting(), max_items=1_000).validate(["x"] * 1_000).errors) == MAX_PROBLEMS
    assert len(seen) == MAX_PROBLEMS


def test_of_warnings_as_many_are_kept() -> None:
    assert len(ListType().validate(["\0"] * 500).warnings) == MAX_PROBLEMS


def test_a_list_of_lists_tells_no_more_errors_than_one_list() -> None:
    table = ListType(of=ListType(of=IntegerType()))
    assert len(table.validate([["x"] * 60] * 10).errors) == MAX_PROBLEMS


def test_equal_clean_values_are_repeated() -> None:
    kind = ListType(of=IntegerType(), unique=True)
    assert kind.validate([1, 2])
    assert kind.validate([1, "1", 2, 2]).errors == (
        Problem("repeated", "It is there already; each item may be there once.", (1,)),
        Problem("repeated", "It is there already; each item may be there once.", (3,)),
    )


def test_equal_lists_are_repeated() -> None:
    kind = ListType(of=ListType(of=IntegerType()), unique=True)
    assert kind.validate([[1], [1, 2], []])
    assert [problem.path for problem in kind.validate([[1], ["1"]]).errors] == [(1,)]


def test_a_cycle_and_a_depth_of_input_end_where_the_types_end() -> None:
    table = ListType(of=ListType(of=IntegerType()))
    assert [problem.path for problem in table.validate(cyclic()).errors] == [(0, 0)]
    assert [problem.path for problem in table.validate(deep(100_000)).errors] == [(0, 0)]


def test_a_missing_value_is_valid_and_stays_none() -> None:
    assert OptionalType(of=IntegerType()).validate(None) == (True, None, (), ())


def test_a_value_that_is_there_is_judged_by_its_type() -> None:
    kind = OptionalType(of=IntegerType())
    assert (kind.validate("7").sanitized_value, kind.validate("x").is_valid, kind.validate("").is_valid) == (
        7,
        False,
        False,
    )


@pytest.mark.parametrize("blank", ["", "  ", "\t\n", "\u00a0"])
def test_a_blank_text_can_be_a_missing_value(blank: str) -> None:
    assert OptionalType(of=IntegerType(), blank=True).validate(blank) == (True, None, (), ())


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        (ListType, {"of": "integer"}, "of is 'integer'; it must be a type of input, such as IntegerType(minimum=0)"),
        (ListType, {"of": IntegerType}, "it must be a type of input"),
        (ListType, {"max_items": 100_001}, "max_items is 100001; it must be a whole number from 0 to 100000"),
        (ListType, {"min_items": 3, "max_items": 1}, "min_items is 3, above max_items, which is 1"),
        (ListType, {"unique": 1}, "unique is 1"),
        (OptionalType, {"of": None}, "of is None"),
        (OptionalType, {"blank": "yes"}, "blank is 'yes'"),
    ],
)
def test_an_option_of_a_collection_that_is_wrong_is_named(kind: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind(**options)
    assert words in str(caught.value)


def test_a_list_holds_text_unless_told_otherwise() -> None:
    assert ListType().of == StringType()
