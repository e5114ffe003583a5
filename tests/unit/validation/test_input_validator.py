from __future__ import annotations

import threading
from typing import Any

import pytest

import spanguard.validation
from spanguard.errors import ConfigurationError
from spanguard.validation import (
    TYPES,
    InputValidator,
    IntegerType,
    ListType,
    OptionalType,
    StringType,
    make_type,
    validate_user_input,
)
from spanguard.validation.validator import MAX_PREPARED

VALID: dict[str, tuple[object, object]] = {
    "string": ("a", "a"),
    "email": ("ada@example.org", "ada@example.org"),
    "integer": ("7", 7),
    "float": ("1.5", 1.5),
    "boolean": ("yes", True),
    "list": (["a"], ["a"]),
}


@pytest.mark.parametrize("name", VALID)
def test_a_type_is_asked_for_by_its_name(name: str) -> None:
    value, clean = VALID[name]
    assert validate_user_input(value, input_type=name).sanitized_value == clean
    assert InputValidator().validate(value, name).sanitized_value == clean


@pytest.mark.parametrize("name", sorted(set(TYPES) - {"optional"}))
def test_each_type_has_a_function_and_a_method_of_its_own(name: str) -> None:
    for validate in (getattr(spanguard.validation, f"validate_{name}"), getattr(InputValidator(), f"validate_{name}")):
        assert validate(b"no such thing").is_valid is False
        assert validate.__doc__


def test_without_a_name_the_type_is_string() -> None:
    assert validate_user_input("a").sanitized_value == "a"
    assert not validate_user_input(7)


def test_options_are_those_of_the_type() -> None:
    assert not validate_user_input("7", input_type="integer", maximum=5)
    assert not validate_user_input("abc", max_length=2)


def test_an_unknown_type_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(
        ConfigurationError, match="input_type is 'emial'; did you mean 'email'\\? there are: string, email"
    ):
        validate_user_input("a", input_type="emial")


@pytest.mark.parametrize("name", [None, 7, [], b"string", ""])
def test_a_type_that_is_no_word_is_an_error(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="input_type is "):
        validate_user_input("a", input_type=name)


def test_an_unknown_option_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(ConfigurationError) as caught:
        validate_user_input("a", max_lenght=3, colour="red")
    first, second = caught.value.problems
    assert "'max_lenght' is no option; did you mean 'max_length'?" in first
    assert "'colour' is no option; there are: " in second


def test_what_a_type_keeps_for_itself_is_no_option() -> None:
    with pytest.raises(ConfigurationError, match="is no option"):
        make_type("string", {"_has_more_rules": True})


def test_the_value_does_not_stand_in_an_error_of_the_programmer() -> None:
    with pytest.raises(ConfigurationError) as caught:
        validate_user_input("hunter2", input_type="strng")
    assert "hunter2" not in str(caught.value)


def test_a_type_with_the_same_options_is_made_once() -> None:
    validator = InputValidator()
    assert validator.prepare("integer", minimum=1) is validator.prepare("integer", minimum=1)
    assert validator.prepare("integer", minimum=1) is not validator.prepare("integer", minimum=2)


def test_a_wrong_option_that_equals_a_right_one_is_still_wrong() -> None:
    validator = InputValidator()
    assert validator.validate("7", "integer", minimum=1)
    for wrong in (1.0, True):
        with pytest.raises(ConfigurationError):
            validator.validate("7", "integer", minimum=wrong)


def test_no_more_types_are_kept_than_the_bound() -> None:
    validator = InputValidator()
    for number in range(MAX_PREPARED + 10):
        validator.validate("7", "integer", maximum=number)
    assert validator._prepared.cache_info().currsize == MAX_PREPARED


def test_what_a_list_holds_can_be_named() -> None:
    expected = ListType(of=IntegerType(minimum=3), max_items=2)
    assert make_type("list", {"of": {"type": "integer", "minimum": 3}, "max_items": 2}) == expected
    assert make_type("list", {"of": "integer"}) == ListType(of=IntegerType())
    nested = make_type("list", {"of": {"type": "optional", "of": {"type": "string", "strip": True}}})
    assert nested == ListType(of=OptionalType(of=StringType(strip=True)))


@pytest.mark.parametrize(
    ("of", "words"),
    [
        ("integr", "did you mean 'integer'?"),
        ({"minimum": 3}, "input_type is ''"),
        ({"type": "integer", "minimun": 3}, "did you mean 'minimum'?"),
        (7, "it must be a type of input"),
    ],
)
def test_what_a_list_holds_is_an_error_if_it_is_no_type(of: object, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        validate_user_input([], "list", of=of)
    assert words in str(caught.value)


@pytest.mark.parametrize("slow", [0, -1, True, "1", float("nan"), float("inf")])
def test_what_is_slow_must_be_seconds(slow: Any) -> None:
    with pytest.raises(ConfigurationError, match="slow is "):
        InputValidator(slow=slow)


def test_threads_share_a_validator() -> None:
    validator = InputValidator()
    wrong: list[object] = []

    def work(offset: int) -> None:
        for number in range(300):
            maximum = (number + offset) % 50
            result = validator.validate(str(number % 60), "integer", maximum=maximum)
            if result.is_valid is not (number % 60 <= maximum):
                wrong.append(result)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
