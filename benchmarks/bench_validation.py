"""Validation, counted, against pydantic's own adapters, which count nothing; with detectors, against the detectors alone."""

from __future__ import annotations

from typing import Any

from common import Figure, Timer, timing
from pydantic import EmailStr, TypeAdapter

from spanguard.validation import InputValidator
from spanguard.validation.threats import detect

TEXT = "Ada Lovelace"
EMAIL = "ada.lovelace@example.org"


def ours(value: object, input_type: str, **options: Any) -> Timer:
    validate = InputValidator().prepare(input_type, **options).validate
    assert validate(value)
    return timing(lambda: validate(value))


def pydantics(value: object, kind: Any) -> Timer:
    validate = TypeAdapter(kind).validate_python
    return timing(lambda: validate(value))


def string() -> Timer:
    return ours(TEXT, "string", threats="off")


def string_of_pydantic() -> Timer:
    return pydantics(TEXT, str)


def string_with_detectors() -> Timer:
    return ours(TEXT, "string")


def detectors() -> Timer:
    return timing(lambda: detect(TEXT))


def integer() -> Timer:
    return ours(42, "integer")


def integer_of_pydantic() -> Timer:
    return pydantics(42, int)


def integer_from_text() -> Timer:
    return ours("42", "integer")


def integer_from_text_of_pydantic() -> Timer:
    return pydantics("42", int)


def email() -> Timer:
    return ours(EMAIL, "email")


def email_of_pydantic() -> Timer:
    return pydantics(EMAIL, EmailStr)


FIGURES = [
    Figure(
        "validation-string",
        "a string is valid, no detectors, counted",
        3,
        string,
        string_of_pydantic,
        "pydantic's adapter",
    ),
    Figure(
        "validation-string-threats",
        "the same as by default, with the detectors of four families",
        1.5,
        string_with_detectors,
        detectors,
        "the detectors alone",
    ),
    Figure("validation-integer", "an integer is valid, counted", 3, integer, integer_of_pydantic, "pydantic's adapter"),
    Figure(
        "validation-integer-text",
        "an integer from text is valid, counted",
        3,
        integer_from_text,
        integer_from_text_of_pydantic,
        "pydantic's adapter",
    ),
    Figure(
        "validation-email",
        "an email address is valid, with detectors, counted",
        3,
        email,
        email_of_pydantic,
        "pydantic's adapter",
    ),
]
