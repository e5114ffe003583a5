from __future__ import annotations

import pytest

from spanguard.errors import ConfigurationError
from spanguard.validation import BooleanType
from spanguard.validation.inputs.boolean import WORDS


@pytest.mark.parametrize(
    ("value", "clean"), [(True, True), (False, False), *WORDS.items(), ("TRUE", True), (" Off\n", False)]
)
def test_a_boolean_and_the_words_for_it_come_out_as_a_boolean(value: object, clean: bool) -> None:
    assert BooleanType().validate(value).sanitized_value is clean


@pytest.mark.parametrize(
    "value", [0, 1, 1.0, "", "t", "y", "2", "truth", "yes please", "\uff11", "true\0", b"true", None, [], [True], "on" * 50]
)  # fmt: skip
def test_what_is_no_boolean_is_refused(value: object) -> None:
    assert [problem.code for problem in BooleanType().validate(value).errors] == ["not_a_boolean"]


def test_a_strict_boolean_is_no_text() -> None:
    strict = BooleanType(strict=True)
    assert [strict.validate(value).is_valid for value in (True, False, "true")] == [True, True, False]


def test_an_option_of_a_boolean_that_is_wrong_is_named() -> None:
    with pytest.raises(ConfigurationError, match="strict is 1; it must be True or False"):
        BooleanType(strict=1)  # type: ignore[arg-type]
